// Weights in shards: written as save_pretrained lays them out, read back bit for bit, and refused
// where shards and index do not agree.
#include "model/weight_writer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/json_reader.h"
#include "base/sealed_file.h"
#include "model/model_io.h"
#include "model/weight_source.h"
#include "tests/model/small_models.h"
#include "tests/support/temporary_folder.h"

namespace llm::test {
namespace {

namespace fs = std::filesystem;

at::Tensor values_of(int64_t i) { return at::arange(10, at::kFloat) + static_cast<double>(i); }

std::vector<OutgoingTensor> ten_tensors() {
  std::vector<OutgoingTensor> tensors;
  for (int64_t i = 0; i < 10; ++i) {
    tensors.push_back({fmt::format("t{}", i), {10}, [i] { return values_of(i); }});
  }
  return tensors;
}

TEST(WeightWriter, OneFileWhereNoSizeIsGiven) {
  const TemporaryFolder folder;
  EXPECT_EQ(write_weights(folder.path(), ten_tensors(), {}),
            std::vector<std::string>{"model.safetensors"});
  const auto weights = open_weights(folder.path());
  EXPECT_EQ(weights->entries().size(), 10u);
  EXPECT_TRUE(same_bits(weights->tensor("t7"), values_of(7)));
}

// Ten tensors of 40 bytes, 100 bytes a shard: two in each of five.
TEST(WeightWriter, ShardsHoldWhatFits) {
  const TemporaryFolder folder;
  const auto files = write_weights(folder.path(), ten_tensors(), {.max_shard_bytes = 100});
  ASSERT_EQ(files.size(), 6u);
  EXPECT_EQ(files[0], "model-00001-of-00005.safetensors");
  EXPECT_EQ(files[5], "model.safetensors.index.json");
  const nlohmann::json index = parse_json_file(folder / files[5]);
  EXPECT_EQ(index["metadata"]["total_size"], 400);
  EXPECT_EQ(index["weight_map"]["t9"], "model-00005-of-00005.safetensors");
  const auto weights = open_weights(folder.path());
  for (int64_t i = 0; i < 10; ++i) {
    EXPECT_TRUE(same_bits(weights->tensor(fmt::format("t{}", i)), values_of(i)));
  }
}

// A tensor larger than the limit has a shard of its own.
TEST(WeightWriter, ATensorIsNeverCut) {
  const TemporaryFolder folder;
  EXPECT_EQ(write_weights(folder.path(), ten_tensors(), {.max_shard_bytes = 1}).size(), 11u);
}

TEST(WeightWriter, NumbersAreRoundedToTheFormatOfTheFile) {
  const TemporaryFolder folder;
  const at::Tensor third = at::full({3}, 1.0 / 3);
  write_weights(folder.path(), {{"w", {3}, [&] { return third; }}}, {.dtype = at::kBFloat16});
  EXPECT_TRUE(same_bits(open_weights(folder.path())->tensor("w"), third.to(at::kBFloat16)));
}

TEST(WeightWriter, SealsEveryShardUnderAKey) {
  const TemporaryFolder folder;
  const EncryptionKey key(std::array<std::byte, EncryptionKey::kBytes>{});
  const auto files =
      write_weights(folder.path(), ten_tensors(), {.max_shard_bytes = 100, .key = key});
  ASSERT_EQ(files.size(), 6u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(is_sealed(folder / files[i]));
    EXPECT_EQ(folder.read(files[i]).find("__metadata__"), std::string::npos);
  }
  const auto weights = open_weights(folder.path(), key);
  for (int64_t i = 0; i < 10; ++i) {
    const WeightEntry& entry = *weights->find(fmt::format("t{}", i));
    weights->release(entry);
    EXPECT_TRUE(same_bits(weights->tensor(entry), values_of(i)));
  }
  EXPECT_EQ(error_of([&] { open_weights(folder.path()); }),
            fmt::format("3: '{}' is encrypted: give --encryption-key-file",
                        (folder / files[0]).string()));
}

class BrokenShards : public testing::Test {
 protected:
  void SetUp() override {
    write_weights(folder_.path(), ten_tensors(), {.max_shard_bytes = 200});
    index_ = parse_json_file(folder_ / "model.safetensors.index.json");
  }
  std::string refusal() {
    write_file_atomically(folder_ / "model.safetensors.index.json", index_.dump());
    return error_of([&] { open_weights(folder_.path()); });
  }
  nlohmann::json& map() { return index_["weight_map"]; }

  TemporaryFolder folder_;
  nlohmann::json index_;
  const std::string one_ = "model-00001-of-00002.safetensors",
                    two_ = "model-00002-of-00002.safetensors";
};

TEST_F(BrokenShards, AShardThatIsMissing) {
  fs::remove(folder_ / two_);
  expect_contains(refusal(), "index names '" + two_ + "', not found");
}

TEST_F(BrokenShards, AShardOutsideTheFolder) {
  map()["t0"] = "../x.safetensors";
  expect_contains(refusal(), "shard name '../x.safetensors' not allowed");
}

TEST_F(BrokenShards, ATensorInAnotherShard) {
  map()["t0"] = two_;
  expect_contains(refusal(), "index puts tensor 't0' into '" + two_ + "', it is in '" + one_ + "'");
}

TEST_F(BrokenShards, ATensorThatTheIndexLacks) {
  map().erase("t9");
  expect_contains(refusal(), "'" + two_ + "' holds tensor 't9', which the index lacks");
}

TEST_F(BrokenShards, ATensorThatNoShardHas) {
  map()["t10"] = two_;
  expect_contains(refusal(), "index puts tensor 't10' into '" + two_ + "', which lacks it");
}

TEST_F(BrokenShards, ATensorInTwoShards) {
  save_tensors(folder_ / two_, {{"t0", values_of(0)}});
  for (int i = 5; i < 10; ++i) {
    map().erase(fmt::format("t{}", i));
  }
  map()["x"] = two_;
  expect_contains(refusal(), "tensor 't0' is in two shards");
}

}  // namespace
}  // namespace llm::test
