#include "model/weight_files.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

TEST(WeightFiles, TheFileOfADirectoryIsMappedForWhoOpensItNext) {
  const TemporaryFolder folder;
  folder.write("pytorch_model.bin", "left alone");
  const auto file = folder.write("model.safetensors", "some bytes");
  const std::vector<MappedFile> mapped = map_weight_files(folder.path());
  ASSERT_EQ(mapped.size(), 1u);
  EXPECT_EQ(mapped[0].text(), "some bytes");
  EXPECT_EQ(MappedFile::open(file).data(), mapped[0].data());
}

TEST(WeightFiles, AFileIsItsOwnWeights) {
  const TemporaryFolder folder;
  const auto mapped = map_weight_files(folder.write("model.gguf", "GGUF"));
  ASSERT_EQ(mapped.size(), 1u);
  EXPECT_EQ(mapped[0].text(), "GGUF");
}

TEST(WeightFiles, EveryShardOfAnIndexIsMappedOnce) {
  const TemporaryFolder folder;
  folder.write("a.safetensors", "first");
  folder.write("b.safetensors", "second");
  folder.write(
      "model.safetensors.index.json",
      R"({"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "b.safetensors"}})");
  const std::vector<MappedFile> mapped = map_weight_files(folder.path());
  ASSERT_EQ(mapped.size(), 2u);
  EXPECT_EQ(mapped[0].text(), "first");
  EXPECT_EQ(mapped[1].text(), "second");
}

// Opening says what is wrong with them.
TEST(WeightFiles, WhatIsNotThereIsPassedOver) {
  const TemporaryFolder folder;
  EXPECT_TRUE(map_weight_files(folder.path()).empty());
  EXPECT_TRUE(map_weight_files(folder / "none.gguf").empty());
  folder.write("model.safetensors.index.json", R"({"weight_map": {"x": "gone.safetensors"}})");
  EXPECT_TRUE(map_weight_files(folder.path()).empty());
  folder.write("model.safetensors.index.json", "no index");
  EXPECT_TRUE(map_weight_files(folder.path()).empty());
}

}  // namespace
}  // namespace llm
