#include "model/kernels/cpu_backend.h"
#include "serving/load_token_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/model_io.h"
#include "serving/packed_model.h"
#include "tests/model/small_models.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

const fs::path kTests = fs::path(LLM_SOURCE_DIR) / "tests";

at::Tensor logits_of(const TokenModel& model) {
  std::vector<int32_t> ids;
  for (int32_t id = 1; id < 9; ++id)
    ids.push_back(id * 7 % static_cast<int32_t>(model.vocab_size()));
  const auto sequence = model.start(static_cast<int64_t>(ids.size()));
  at::Tensor logits = at::empty({static_cast<int64_t>(ids.size()), model.vocab_size()});
  model.append_all(*sequence, ids,
                   {logits.mutable_data_ptr<float>(), static_cast<size_t>(logits.numel())});
  return logits;
}

class LoadTokenModel : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cpu_backend()) GTEST_SKIP() << "this CPU has no AVX2";
  }
};

// Straight from the file, by first and by second pass: the bits of the model that LibTorch loads.
TEST_F(LoadTokenModel, WithoutLibTorchGivesTheSameBits) {
  for (const char* name : {"model/gguf/llama3.gguf", "model/gguf/llama_q8_0.gguf",
                           "model/gguf/qwen2.gguf", "fixtures/hf/phi3", "fixtures/hf/llama",
                           "fixtures/hf/llama_tied", "fixtures/hf/qwen2", "fixtures/hf/mistral"}) {
    for (const auto& [dtype, scalar] :
         {std::pair("float32", at::kFloat), std::pair("bfloat16", at::kBFloat16)}) {
      const auto direct =
          load_packed_model(kTests / name, {.device = "cpu", .dtype = dtype, .threads = 2});
      ASSERT_TRUE(direct.has_value()) << name;
      EXPECT_TRUE(direct->packed);
      EXPECT_EQ(direct->dtype, dtype);
      const PackedModel packed(*load_model(kTests / name, {.dtype = scalar}).model);
      const at::Tensor wanted = logits_of(packed);
      EXPECT_TRUE(logits_of(*direct->model).equal(wanted)) << name << " " << dtype;
      EXPECT_TRUE(logits_of(*direct->model).equal(wanted)) << name << " " << dtype << ", packed";
    }
  }
}

TEST_F(LoadTokenModel, LeavesToLibTorchWhatNeedsIt) {
  const fs::path llama = kTests / "fixtures/hf/llama";
  EXPECT_TRUE(load_packed_model(llama, {.device = "cpu"}).has_value());
  EXPECT_FALSE(load_packed_model(llama, {.device = "cpu", .allow_packed = false}).has_value());
  EXPECT_FALSE(load_packed_model(llama, {.device = "cuda:0"}).has_value());
  EXPECT_FALSE(load_packed_model(llama, {.device = "cpu", .dtype = "float16"}).has_value());
  for (const char* other : {"gpt2", "gemma", "qwen3", "mixtral", "phi3_longrope"})
    EXPECT_FALSE(load_packed_model(kTests / "fixtures/hf" / other, {.device = "cpu"})) << other;
}

// Biases of q and k that lie pair by pair have to be put in order first.
TEST_F(LoadTokenModel, WithLibTorchGivesTheSameBits) {
  const fs::path path = kTests / "model/gguf/llama.gguf";
  ASSERT_FALSE(load_packed_model(path, {.device = "cpu"}).has_value());
  const LoadedTokenModel loaded = load_token_model(path, {.device = "cpu", .dtype = "bfloat16"});
  EXPECT_TRUE(loaded.packed);
  const PackedModel packed(*load_model(path, {.dtype = at::kBFloat16}).model);
  EXPECT_TRUE(logits_of(*loaded.model).equal(logits_of(packed)));
}

TEST_F(LoadTokenModel, BothWaysNameTheSameFacts) {
  const fs::path path = kTests / "model/gguf/llama_q8_0.gguf";
  const LoadedTokenModel loaded = load_token_model(path, {.device = "cpu"});
  const auto direct = load_packed_model(path, {.device = "cpu"});
  ASSERT_TRUE(direct.has_value());
  EXPECT_TRUE(loaded.packed);
  EXPECT_EQ(loaded.dtype, "bfloat16");
  EXPECT_EQ(direct->dtype, "bfloat16");
  EXPECT_EQ(direct->device, loaded.device);
  EXPECT_EQ(direct->parameters, loaded.parameters);
  EXPECT_EQ(direct->directory, loaded.directory);
  EXPECT_TRUE(logits_of(*direct->model).equal(logits_of(*loaded.model)));
  const LoadedTokenModel plain = load_token_model(path, {.device = "cpu", .allow_packed = false});
  EXPECT_FALSE(plain.packed);
  EXPECT_EQ(plain.why_not_packed, "it was asked not to");
}

TEST_F(LoadTokenModel, AModelWithoutAParameterIsRefused) {
  const TemporaryFolder folder;
  fs::copy(kTests / "fixtures/hf/llama", folder / "m");
  save_tensors(folder / "m" / "model.safetensors", {{"model.norm.weight", at::ones({3})}});
  EXPECT_THROW(load_packed_model(folder / "m", {.device = "cpu"}), Error);
}

}  // namespace
}  // namespace llm
