// config.json of other programs: what each family reads, and what it refuses by name.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/families/families.h"
#include "model/hf_config.h"
#include "tests/model/small_models.h"

namespace llm::test {
namespace {

nlohmann::json config_of(const std::string& type, const nlohmann::json& more = {}) {
  nlohmann::json object = {{"model_type", type},       {"vocab_size", 96},
                           {"hidden_size", 32},        {"intermediate_size", 48},
                           {"num_hidden_layers", 4},   {"num_attention_heads", 4},
                           {"num_key_value_heads", 2}, {"pad_token_id", nullptr},
                           {"bos_token_id", 1},        {"eos_token_id", 2}};
  if (more.is_object()) {
    object.update(more);
  }
  return object;
}

ModelConfig read(const std::string& type, const nlohmann::json& more = {}) {
  return model_config_from_hf(config_of(type, more), "config.json");
}

std::string refusal(const std::string& type, const nlohmann::json& more) {
  return error_of([&] { read(type, more); });
}

TEST(FamilyConfig, UnknownFamilyIsRefusedWithTheListOfKnownOnes) {
  EXPECT_EQ(refusal("deepseek_v3", {{"architectures", {"DeepseekV3ForCausalLM"}}}),
            "3: config.json: unsupported architecture DeepseekV3ForCausalLM (model_type "
            "deepseek_v3); supported model types are llama, mistral, mixtral, qwen2, qwen3, "
            "qwen3_moe, phi3, gpt2, gptj, gpt_neox, opt, gemma, gemma2, gemma3_text, stablelm, "
            "olmo2, llm");
  EXPECT_EQ(error_of([] {
              model_config_from_hf({{"architectures", {"ChatGLMModel"}}}, "config.json");
            }).substr(0, 55),
            "3: config.json: unsupported architecture ChatGLMModel; ");
}

TEST(FamilyConfig, ArchitectureAloneNamesTheFamily) {
  nlohmann::json object = config_of("", {{"architectures", {"Qwen2ForCausalLM"}}});
  object.erase("model_type");
  EXPECT_EQ(model_config_from_hf(object, "config.json").model_type, "qwen2");
}

TEST(FamilyConfig, PlainLlamaNeedsNoFamilyName) {
  EXPECT_EQ(read("llama").model_type, std::nullopt);
  EXPECT_EQ(read("mistral", {{"sliding_window", nullptr}}).model_type, "mistral");
  EXPECT_EQ(read("mistral", {{"sliding_window", 8}}).model_type, std::nullopt);
}

TEST(FamilyConfig, KeysThatChangeTheComputationAreNotIgnored) {
  const struct {
    std::string type;
    nlohmann::json keys;
    std::string message;
  } rows[] = {
      {"llama", {{"residual_multiplier", 0.5}}, "3: config.json: unknown key residual_multiplier"},
      {"llama", {{"partial_rotary_factor", 0.5}}, "unknown key partial_rotary_factor"},
      {"llama", {{"sliding_window", 8}}, "sliding_window 8 is not supported, only null (llama"},
      {"llama", {{"hidden_act", "quick_gelu"}}, "hidden_act 'quick_gelu' is not supported"},
      {"llama",
       {{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}}},
       "rope_scaling.rope_type: 'dynamic' is not supported; choose none, linear"},
      {"llama",
       {{"quantization_config", {{"quant_method", "gptq"}}}},
       "quantization_config: quant_method \"gptq\" is not supported"},
      {"mistral", {{"attention_bias", true}}, "attention_bias true is not supported, only false"},
      {"mixtral", {{"router_jitter_noise", 0.1}}, "router_jitter_noise 0.1 is not supported"},
      {"qwen2", {{"use_mrope", true}}, "use_mrope true is not supported, only false"},
      {"phi3", {{"embd_pdrop", 0.1}}, "embd_pdrop 0.1 beside resid_pdrop 0 is not supported"},
      {"gpt2",
       {{"scale_attn_by_inverse_layer_idx", true}},
       "scale_attn_by_inverse_layer_idx true is not supported, only false (gpt2 models)"},
      {"gpt2", {{"add_cross_attention", true}}, "add_cross_attention true is not supported"},
      {"opt", {{"layerdrop", 0.1}}, "layerdrop 0.1 is not supported, only 0.0"},
      {"opt", {{"layer_norm_elementwise_affine", false}}, "layer_norm_elementwise_affine false"},
      {"gemma", {{"use_bidirectional_attention", true}}, "use_bidirectional_attention true"},
      {"llama",
       {{"use_bidirectional_attention", true}},
       "use_bidirectional_attention true is not supported, only false (llama models)"},
      {"gemma2",
       {{"layer_types", {"chunked_attention"}}},
       "layer_types: \"chunked_attention\" is not supported"},
      {"gemma3_text", {{"attn_logit_softcapping", 50.0}}, "attn_logit_softcapping 50.0"},
      {"stablelm", {{"qk_layernorm", true}}, "qk_layernorm true is not supported, only false"},
      {"qwen3_moe",
       {{"num_experts", 2}, {"num_experts_per_tok", 3}},
       "num_experts_per_tok (3) must not exceed num_experts (2)"},
  };
  for (const auto& row : rows) {
    expect_contains(refusal(row.type, row.keys), row.message);
    EXPECT_EQ(refusal(row.type, row.keys).substr(0, 15), "3: config.json:");
  }
}

TEST(FamilyConfig, MissingAndNullKeysMeanWhatTheFamilySays) {
  EXPECT_EQ(read("mistral").sliding_window, 4096);
  EXPECT_EQ(read("mistral", {{"sliding_window", nullptr}}).sliding_window, std::nullopt);
  EXPECT_EQ(read("gemma2").final_logit_softcapping, 30.0);
  EXPECT_EQ(read("gemma2", {{"final_logit_softcapping", nullptr}}).final_logit_softcapping,
            std::nullopt);
  EXPECT_EQ(read("qwen3").head_size(), 128);
  EXPECT_EQ(read("mixtral").rope_theta, 1e6);
  EXPECT_TRUE(read("gemma").tie_word_embeddings);
  EXPECT_FALSE(read("llama").tie_word_embeddings);
  EXPECT_EQ(read("llama").pad_token_id, -1);
  const ModelConfig gpt2 = model_config_from_hf({{"model_type", "gpt2"},
                                                 {"vocab_size", 50257},
                                                 {"n_embd", 32},
                                                 {"n_head", 4},
                                                 {"n_layer", 2}},
                                                "config.json");
  EXPECT_EQ(gpt2.ffn_size(), 128);
  EXPECT_EQ(gpt2.max_position_embeddings, 1024);
  EXPECT_EQ(gpt2.eos_token_id, 50256);
}

TEST(FamilyConfig, EosListKeepsAllItsTokens) {
  const ModelConfig config = read("llama", {{"eos_token_id", {2, 5, 7}}});
  EXPECT_EQ(config.eos_token_id, 2);
  EXPECT_EQ(config.end_tokens(), (std::vector<int64_t>{2, 5, 7}));
  const nlohmann::json written = nlohmann::json::parse(hf_config_text(config, "float32"));
  EXPECT_EQ(written["eos_token_id"], nlohmann::json({2, 5, 7}));
  EXPECT_TRUE(resolved(model_config_from_hf(written, "config.json")) == resolved(config));
}

TEST(FamilyConfig, QwenWindowBeginsAtItsLayer) {
  EXPECT_EQ(read("qwen2", {{"use_sliding_window", false}, {"sliding_window", 8}}).sliding_window,
            std::nullopt);
  const ModelConfig config = read(
      "qwen2", {{"use_sliding_window", true}, {"sliding_window", 8}, {"max_window_layers", 3}});
  EXPECT_EQ(config.layer_window(2), std::nullopt);
  EXPECT_EQ(config.layer_window(3), 8);
  EXPECT_TRUE(config.attention_bias);
  EXPECT_FALSE(config.output_bias());
}

TEST(FamilyConfig, GemmaThreeReadsBothItsRopes) {
  const auto check_it = [](const ModelConfig& config) {
    EXPECT_EQ(config.rope_theta, 1e6);
    EXPECT_EQ(config.rope_local_base_freq, 2e4);
    EXPECT_EQ(config.rope_scaling.rope_type, "linear");
    EXPECT_EQ(config.rope_scaling.factor, 8.0);
    EXPECT_TRUE(config.layer_rope_is_local(0));
    EXPECT_FALSE(config.layer_rope_is_local(1));
  };
  check_it(read("gemma3_text", {{"sliding_window_pattern", 2},
                                {"rope_theta", 1e6},
                                {"rope_local_base_freq", 2e4},
                                {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}}}));
  check_it(
      read("gemma3_text",
           {{"_sliding_window_pattern", 2},
            {"rope_parameters",
             {{"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
              {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}}}}));
}

TEST(FamilyConfig, PhiLongropeHasThreeNames) {
  for (const std::string name : {"su", "yarn", "longrope"}) {
    const ModelConfig config = read("phi3", {{"max_position_embeddings", 131072},
                                             {"original_max_position_embeddings", 4096},
                                             {"rope_scaling",
                                              {{"type", name},
                                               {"short_factor", {1.0, 1.0, 1.0, 1.0}},
                                               {"long_factor", {1.0, 2.0, 3.0, 4.0}}}}});
    EXPECT_EQ(config.rope_scaling.rope_type, "longrope");
    EXPECT_EQ(config.rope_scaling.original_max_position_embeddings, 4096);
  }
  expect_contains(refusal("phi3", {{"rope_scaling",
                                    {{"type", "longrope"},
                                     {"short_factor", {1.0}},
                                     {"long_factor", {1.0, 2.0, 3.0, 4.0}}}}}),
                  "short_factor and long_factor must have 4 numbers");
}

TEST(FamilyConfig, EveryOwnShapeIsWrittenAndReadBack) {
  ModelConfig config = small_config();
  config.qk_norm = "full";
  config.norm_type = "layer_norm";
  config.moe.num_experts = 4;
  config.moe.mlp_only_layers = {1};
  config.sparse_attention.block_size = 4;
  config.use_parallel_ffn = true;
  config.dropout = 0.1;
  const nlohmann::json written = nlohmann::json::parse(hf_config_text(config, "float32"));
  EXPECT_EQ(written["model_type"], "llm");
  const ModelConfig again = model_config_from_hf(written, "config.json");
  EXPECT_TRUE(resolved(again) == resolved(config));
}

TEST(FamilyConfig, FamilyThatCannotSayAShapeIsNotUsed) {
  ModelConfig config = read("qwen2");
  EXPECT_STREQ(family_of(config).model_type, "qwen2");
  config.ffn_type = "relu";
  EXPECT_STREQ(family_of(config).model_type, "llm");
}

TEST(StoredTensors, NamesOfTheBareModelGetTheirPrefix) {
  const ModelConfig config = model_config_from_hf(
      {{"model_type", "gpt2"}, {"vocab_size", 50257}, {"n_embd", 8}, {"n_head", 2}, {"n_layer", 1}},
      "config.json");
  EXPECT_EQ(canonical_stored_name(config, family_of(config), "h.0.ln_1.weight"),
            "transformer.h.0.ln_1.weight");
  EXPECT_EQ(canonical_stored_name(config, family_of(config), "transformer.wte.weight"),
            "transformer.wte.weight");
  EXPECT_EQ(canonical_stored_name(config, family_of(config), "h.0.attn.bias"), "");
  EXPECT_EQ(canonical_stored_name(config, family_of(config), "lm_head.weight"), "") << "tied";
}

TEST(StoredTensors, GptTwoJoinsAndTransposesQkv) {
  const ModelConfig config = model_config_from_hf(
      {{"model_type", "gpt2"}, {"vocab_size", 50257}, {"n_embd", 8}, {"n_head", 2}, {"n_layer", 1}},
      "config.json");
  for (const StoredTensor& stored : stored_tensors(config)) {
    if (stored.name == "transformer.h.0.attn.c_attn.weight") {
      EXPECT_EQ(stored.shape, (std::vector<int64_t>{8, 24}));
      EXPECT_EQ(stored.parameters.size(), 3u);
      return;
    }
  }
  FAIL() << "no c_attn";
}

}  // namespace
}  // namespace llm::test
