// Whole models out of GGUF files that llama.cpp's converter made, against the numbers of
// transformers with the same weights (tests/support/make_gguf_models.py).
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <gtest/gtest.h>

#include <functional>

#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"
#include "model/gguf_config.h"
#include "model/gguf_weights.h"
#include "model/model_io.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(LLM_SOURCE_DIR "/tests/model/gguf") / (name + ".gguf");
}

at::Tensor stored(const Gguf& file, const char* name, at::ScalarType type) {
  const GgufTensor* tensor = file.find_tensor(name);
  return at::from_blob(const_cast<std::byte*>(tensor->bytes.data()), tensor->shape,
                       at::TensorOptions(type))
      .clone();
}

class GgufModel : public testing::TestWithParam<const char*> {};

TEST_P(GgufModel, ComputesWhatTransformersDoes) {
  const LoadedModel loaded = load_model(fixture(GetParam()));
  const auto expected = Gguf::open(fixture(std::string(GetParam()) + ".expected"));
  const at::Tensor ids = stored(*expected, "ids", at::kInt).to(at::kLong);
  const at::Tensor logits = stored(*expected, "logits", at::kFloat);
  const at::Tensor greedy = stored(*expected, "greedy", at::kInt).to(at::kLong);
  at::NoGradGuard no_grad;
  const Transformer& model = *loaded.model;
  const at::Tensor ours = model.logits(model.hidden_states(ids.unsqueeze(0))).squeeze(0);
  ASSERT_EQ(ours.sizes(), logits.sizes());
  EXPECT_LT((ours - logits).abs().max().item<float>(), 1e-4f);
  const at::Tensor all = at::cat({ids, greedy}).unsqueeze(0);
  const at::Tensor choices = model.logits(model.hidden_states(all)).squeeze(0).argmax(-1);
  EXPECT_TRUE(choices.slice(0, ids.size(0) - 1, all.size(1) - 1).equal(greedy));
}

INSTANTIATE_TEST_SUITE_P(Families, GgufModel,
                         testing::Values("llama", "llama3", "llama_q8_0", "mistral", "qwen2",
                                         "qwen3", "phi3", "gemma", "gemma2", "gemma3"),
                         [](const auto& test) { return std::string(test.param); });

TEST(GgufConfig, SaysTheKeysOfTheFamily) {
  const ModelConfig llama = load_model_config(fixture("llama"));
  EXPECT_EQ(llama.vocab_size, 300);
  EXPECT_EQ(llama.head_size(), 16);
  EXPECT_EQ(llama.key_value_heads(), 2);
  EXPECT_EQ(llama.rope_theta, 20000.0);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_TRUE(llama.attention_bias);
  EXPECT_FALSE(llama.tie_word_embeddings);
  EXPECT_EQ(llama.eos_token_id, 2);
  EXPECT_TRUE(load_model_config(fixture("llama3")).tie_word_embeddings);
  EXPECT_EQ(load_model_config(fixture("gemma2")).attn_logit_softcapping, 50.0);
  EXPECT_EQ(load_model_config(fixture("gemma2")).sliding_window, 5);
  EXPECT_EQ(load_model_config(fixture("gemma3")).rope_local_base_freq, 10000.0);
  EXPECT_EQ(load_model_config(fixture("phi3")).rope_scaling.long_factor,
            (std::vector<double>{1.5, 2, 3, 4}));
}

TEST(GgufConfig, FindsTheParametersOfLlama3sScaling) {
  const RopeScalingConfig scaling = load_model_config(fixture("llama3")).rope_scaling;
  EXPECT_EQ(scaling.rope_type, "llama3");
  EXPECT_EQ(scaling.factor, 8.0);
  EXPECT_EQ(scaling.low_freq_factor, 1.0);
  EXPECT_EQ(scaling.high_freq_factor, 4.0);
  EXPECT_EQ(scaling.original_max_position_embeddings, 32);
}

TEST(GgufWeights, FloatsAreViewsOfTheFile) {
  const auto file = Gguf::open(fixture("mistral"));
  const auto weights = open_gguf_weights(file);
  EXPECT_EQ(weights->format(), "GGUF");
  const at::Tensor head = weights->tensor("lm_head.weight");
  EXPECT_EQ(head.scalar_type(), at::kHalf);
  EXPECT_EQ(head.const_data_ptr(), file->find_tensor("output.weight")->bytes.data());
  EXPECT_EQ(weights->find("model.layers.1.mlp.up_proj.weight")->dtype, "F16");
  EXPECT_EQ(weights->find("model.layers.1.mlp.up_proj.weight")->shape,
            (std::vector<int64_t>{64, 48}));
  EXPECT_EQ(weights->metadata().at("general.name"), "mistral");
}

TEST(GgufWeights, ReleasedTensorsRemainReadable) {
  const auto weights = open_gguf_weights(fixture("mistral"));
  const at::Tensor head = weights->tensor("lm_head.weight"), before = head.clone();
  for (const WeightEntry& entry : weights->entries()) weights->release(entry);
  EXPECT_TRUE(head.equal(before));
}

TEST(GgufWeights, BlocksBecomeFloat32) {
  const auto weights = open_gguf_weights(fixture("llama_q8_0"));
  const WeightEntry* entry = weights->find("model.layers.0.self_attn.v_proj.weight");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->dtype, "Q8_0");
  EXPECT_EQ(entry->bytes, 32u * 34u);
  EXPECT_EQ(weights->tensor(*entry).scalar_type(), at::kFloat);
}

// A fixture with one key another way, or left out, and without some tensors.
std::filesystem::path rewritten(const TemporaryFolder& folder, const std::string& name,
                                const std::string& key,
                                const std::function<void(GgufMetadata&)>& put,
                                const std::string& without = "none") {
  const auto file = Gguf::open(fixture(name));
  GgufMetadata metadata;
  for (const GgufEntry& entry : file->entries()) {
    if (entry.key != key) {
      metadata.copy(entry.key, entry.value);
    }
  }
  put(metadata);
  std::vector<GgufTensorPlan> plans;
  std::vector<const GgufTensor*> kept;
  for (const GgufTensor& tensor : file->tensors()) {
    if (tensor.name.find(without) == std::string_view::npos) {
      plans.push_back({std::string(tensor.name), tensor.format, tensor.shape});
      kept.push_back(&tensor);
    }
  }
  write_gguf(folder / "x.gguf", metadata, plans,
             [&](size_t i, const GgufSink& sink) { sink(kept[i]->bytes); });
  return folder / "x.gguf";
}

void expect_refusal(const std::string& name, const std::string& key,
                    const std::function<void(GgufMetadata&)>& put, const std::string& message,
                    const std::string& without = "none") {
  TemporaryFolder folder;
  const auto file = rewritten(folder, name, key, put, without);
  expect_error_with([&] { load_model(file); }, Exit::bad_input, file.string() + ": " + message);
}

const auto kNothing = [](GgufMetadata&) {};

TEST(GgufModelFile, OfAnotherArchitectureIsRefused) {
  expect_refusal(
      "llama", "general.architecture",
      [](GgufMetadata& keys) { keys.text("general.architecture", "mamba"); },
      "GGUF architecture 'mamba' is not supported; supported are llama, qwen2, qwen3, phi3, gemma, "
      "gemma2, gemma3");
  expect_refusal("llama", "general.architecture", kNothing,
                 "key 'general.architecture' is missing");
}

TEST(GgufModelFile, WithAnUnknownKeyOfTheModelIsRefused) {
  expect_refusal(
      "llama", "", [](GgufMetadata& keys) { keys.float32("llama.logit_scale", 0.5f); },
      "key 'llama.logit_scale' is not supported; without it the model would compute something "
      "else");
  expect_refusal(
      "llama", "", [](GgufMetadata& keys) { keys.uint32("llama.expert_count", 8); },
      "mixtures of experts are not read from GGUF files");
  expect_refusal(
      "qwen2", "", [](GgufMetadata& keys) { keys.uint32("qwen2.attention.sliding_window", 8); },
      "key 'qwen2.attention.sliding_window' is not supported for this architecture");
}

TEST(GgufModelFile, WithAWrongSizeIsRefused) {
  expect_refusal("llama", "llama.block_count", kNothing, "key 'llama.block_count' is missing");
  expect_refusal(
      "llama", "llama.block_count", [](GgufMetadata& keys) { keys.uint32("llama.block_count", 3); },
      "missing 13 tensors (model.layers.2.");
  expect_refusal(
      "llama", "llama.attention.head_count",
      [](GgufMetadata& keys) { keys.uint32("llama.attention.head_count", 0); },
      "key 'llama.attention.head_count' is 0, must be between 1 and 2147483648");
  expect_refusal(
      "llama", "llama.attention.key_length",
      [](GgufMetadata& keys) { keys.uint32("llama.attention.key_length", 32); },
      "heads of 32 key and 16 value columns are not supported");
  expect_refusal(
      "llama", "tokenizer.ggml.eos_token_id",
      [](GgufMetadata& keys) { keys.uint32("tokenizer.ggml.eos_token_id", 300); },
      "key 'tokenizer.ggml.eos_token_id' is 300, must be between 0 and 299");
}

TEST(GgufModelFile, WithoutATensorIsRefused) {
  expect_refusal("llama", "", kNothing, "tensor 'token_embd.weight' is missing or no matrix",
                 "token_embd");
  expect_refusal("llama", "", kNothing, "missing 1 tensor (model.layers.1.self_attn.k_proj.weight)",
                 "blk.1.attn_k.weight");
}

TEST(GgufModelFile, OfSeveralPartsIsRefused) {
  TemporaryFolder folder;
  const auto file =
      rewritten(folder, "llama", "", [](GgufMetadata& keys) { keys.uint32("split.count", 3); });
  expect_error([&] { load_model(file); }, Exit::bad_input,
               file.string() + ": is one of 3 parts of a split model",
               "join them: llama-gguf-split --merge FIRST_PART OUTPUT");
}

TEST(GgufModelFile, InABlockFormatThatIsNotReadIsRefused) {
  TemporaryFolder folder;
  const auto file = rewritten(folder, "llama_q8_0", "", kNothing);
  std::string bytes = folder.read("x.gguf");
  const std::string info = "blk.0.ffn_up.weight";
  const size_t at = bytes.find(info) + info.size() + 4 + 16;
  ASSERT_EQ(bytes[at], 8);  // Q8_0
  bytes[at] = 24;           // I8: smaller, so the place is still inside the file
  folder.write("x.gguf", bytes);
  expect_error_with([&] { load_model(file); }, Exit::bad_input, "belong to no tensor");
}

}  // namespace
}  // namespace llm
