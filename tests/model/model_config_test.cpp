#include "model/model_config.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "model/model_presets.h"
#include "model/model_size.h"
#include "tests/model/small_models.h"

namespace llm::test {
namespace {

std::string apply_model_text(const std::string& text, ModelConfig& config) {
  return error_of([&] {
    Fields fields;
    fields.section("model", config);
    fields.apply_text(text, "run.yaml");
    fields.finish();
  });
}

TEST(ModelConfig, DefaultObjectHasTheDocumentedSizes) {
  const ModelConfig a4;
  EXPECT_EQ(a4.vocab_size, 50257);
  EXPECT_EQ(a4.hidden_size, 2048);
  EXPECT_EQ(a4.num_hidden_layers, 24);
  EXPECT_EQ(a4.num_attention_heads, 16);
  EXPECT_EQ(a4.num_key_value_heads, std::nullopt);
  EXPECT_EQ(a4.key_value_heads(), 16) << "absent means as many as query heads";
  EXPECT_EQ(a4.intermediate_size, 8192);
  EXPECT_EQ(a4.max_position_embeddings, 4096);
  const ModelConfig b4 = llmodel_defaults();
  EXPECT_EQ(b4.vocab_size, 32000);
  EXPECT_EQ(b4.hidden_size, 4096);
  EXPECT_EQ(b4.num_hidden_layers, 32);
  EXPECT_EQ(b4.num_attention_heads, 32);
  EXPECT_EQ(b4.intermediate_size, 11008);
  EXPECT_EQ(b4.max_position_embeddings, 4096);
  EXPECT_EQ(b4.dropout, 0.0);
  EXPECT_EQ(b4.position_embedding_type, "rope");
  EXPECT_EQ(b4.rope_theta, 10000.0);
  EXPECT_EQ(b4.rms_norm_eps, 1e-6);
  EXPECT_EQ(b4.initializer_range, 0.02);
  EXPECT_TRUE(b4.norm_first);
  EXPECT_FALSE(b4.tie_word_embeddings);
  EXPECT_FALSE(b4.use_gradient_checkpointing);
  EXPECT_FALSE(b4.use_parallel_ffn);
  EXPECT_EQ(b4.pad_token_id, 0);
  EXPECT_EQ(b4.bos_token_id, 1);
  EXPECT_EQ(b4.eos_token_id, 2);
}

TEST(ModelConfig, AbsentFeedForwardWidthIsEightThirdsRoundedUp) {
  ModelConfig config;
  config.intermediate_size.reset();
  config.hidden_size = 2048;
  EXPECT_EQ(config.ffn_size(), 5632);  // 5461.3 -> a multiple of 256
  config.hidden_size = 512;
  EXPECT_EQ(config.ffn_size(), 1408);  // 1365.3 -> a multiple of 64
  config.ffn_type = "gelu";
  EXPECT_EQ(config.ffn_size(), 2048);
}

TEST(ModelConfig, PresetsHaveTheDocumentedParameterCounts) {
  const std::map<std::string, double> millions = {
      {"tiny", 53.7}, {"small", 191.4}, {"base", 1345}, {"large", 2702}, {"xl", 13215}};
  for (const auto& [name, expected] : millions) {
    const ModelConfig config = model_preset(name);
    validate(config);
    EXPECT_NEAR(static_cast<double>(parameter_count(config)) / 1e6, expected,
                expected < 1000 ? 0.06 : 0.6)
        << name;
    EXPECT_EQ(config.vocab_size, 32000);
    EXPECT_FALSE(config.tie_word_embeddings);
  }
  EXPECT_EQ(model_preset("base").dropout, 0.1);
  EXPECT_TRUE(model_preset("xl").use_gradient_checkpointing);
  EXPECT_FALSE(model_preset("base").use_gradient_checkpointing);
  const int64_t mini = parameter_count(model_preset("mini"));
  EXPECT_GE(mini, 1'000'000);
  EXPECT_LE(mini, 3'000'000);
  EXPECT_EQ(error_of([] { model_preset("bse"); }),
            "2: --type: 'bse' is not supported; choose mini, tiny, small, base, large, xl");
}

TEST(ModelConfig, LlmodelNamesAreAliases) {
  ModelConfig config;
  EXPECT_EQ(apply_model_text("model:\n  d_model: 64\n  n_layers: 3\n  n_heads: 4\n  n_kv_heads: "
                             "2\n  d_ff: 96\n  max_len: 128\n  pos_type: alibi\n",
                             config),
            "");
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.num_hidden_layers, 3);
  EXPECT_EQ(config.num_attention_heads, 4);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.intermediate_size, 96);
  EXPECT_EQ(config.max_position_embeddings, 128);
  EXPECT_EQ(config.position_embedding_type, "alibi");
}

TEST(ModelConfig, AFileOfModelKeysAloneIsTheModelSection) {
  ModelConfig config;
  EXPECT_EQ(apply_model_text(
                "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", "
                "\"hidden_size\": 64, \"num_attention_heads\": 4,"
                " \"hidden_act\": \"silu\", \"torch_dtype\": \"bfloat16\", \"use_cache\": true}",
                config),
            "");
  EXPECT_EQ(config.hidden_size, 64);
}

struct BadConfig {
  std::string text;
  std::string message;
};

TEST(ModelConfig, ContradictionsAreRefusedAtTheirPlace) {
  const std::vector<BadConfig> rows = {
      {"hidden_size: 100\n  num_attention_heads: 7",
       "model.hidden_size (100) must be divisible by model.num_attention_heads (7)"},
      {"num_attention_heads: 8\n  num_key_value_heads: 3",
       "model.num_attention_heads (8) must be a multiple of model.num_key_value_heads (3)"},
      {"head_dim: 15", "model.head_dim (15) must be even for rotary positions"},
      {"use_rope: false",
       "model.use_rope (false) contradicts model.position_embedding_type (rope), which decides: "
       "remove use_rope"},
      {"pos_type: alibi\n  rope_theta: 5e5",
       "model.rope_theta has no effect with model.position_embedding_type alibi"},
      {"pos_type: alibi\n  rope_scaling: {rope_type: linear, factor: 2}",
       "model.rope_scaling has no effect with model.position_embedding_type alibi"},
      {"rope_scaling: {factor: 2}",
       "model.rope_scaling.factor has no effect while model.rope_scaling.rope_type is none"},
      {"rope_scaling: {rope_type: linear, factor: 2, low_freq_factor: 1}",
       "model.rope_scaling.low_freq_factor belongs to rope_type llama3, not linear"},
      {"rope_scaling: {rope_type: linear, factor: 2, high_freq_factor: 1}",
       "model.rope_scaling.high_freq_factor belongs to rope_type llama3, not linear"},
      {"rope_scaling: {rope_type: llama3, factor: 2, beta_fast: 1}",
       "model.rope_scaling.beta_fast belongs to rope_type yarn, not llama3"},
      {"rope_scaling: {rope_type: llama3, factor: 2, beta_slow: 1}",
       "model.rope_scaling.beta_slow belongs to rope_type yarn, not llama3"},
      {"rope_scaling: {rope_type: ntk, factor: 2, attention_factor: 1}",
       "model.rope_scaling.attention_factor belongs to rope_type yarn, not ntk"},
      {"rope_scaling: {rope_type: ntk, factor: 2, original_max_position_embeddings: 9}",
       "model.rope_scaling.original_max_position_embeddings belongs to rope_type yarn or llama3, "
       "not ntk"},
      {"rope_scaling: {rope_type: llama3, factor: 2, low_freq_factor: 4}",
       "model.rope_scaling.low_freq_factor (4) must be below model.rope_scaling.high_freq_factor "
       "(4)"},
      {"sliding_window: 8\n  sparse_attention: {block_size: 4}",
       "model.sliding_window and model.sparse_attention.block_size cannot be used together"},
      {"sparse_attention: {local_blocks: 2}",
       "model.sparse_attention.local_blocks and global_blocks have no effect without "
       "model.sparse_attention.block_size"},
      {"hidden_act: gelu",
       "model.hidden_act (gelu) contradicts model.ffn_type (swiglu), which decides: set ffn_type"},
      {"vocab_size: 3\n  eos_token_id: 5",
       "model.eos_token_id (5) must be below model.vocab_size (3)"},
      {"vocab_size: 3\n  bos_token_id: 3",
       "model.bos_token_id (3) must be below model.vocab_size (3)"},
      {"vocab_size: 3\n  pad_token_id: 4",
       "model.pad_token_id (4) must be below model.vocab_size (3)"},
      {"rope_theta: 0.5", "model.rope_theta: 0.5 is outside 1 to 1000000000000"},
      {"hidden_size: 0", "model.hidden_size: '0' must be between 1 and 1048576"},
      {"ffn_type: swish",
       "model.ffn_type: 'swish' is not supported; choose swiglu, geglu, geglu_tanh, gelu, "
       "gelu_tanh, relu, silu"},
      {"rotary_dim: 5", "model.rotary_dim (5) must be even and at most model.head_dim (128)"},
      {"pos_type: alibi\n  rotary_dim: 4",
       "model.rotary_dim has no effect with model.position_embedding_type alibi"},
      {"rope_local_base_freq: 100",
       "model.rope_local_base_freq has no effect without sliding layers"},
      {"position_offset: 2",
       "model.position_offset has no effect with model.position_embedding_type rope"},
      {"layer_types: [full_attention]", "model.layer_types names 1 layers"},
      {"num_experts_per_tok: 2", "have no effect without model.num_experts"},
      {"num_experts: 2\n  num_experts_per_tok: 3",
       "model.num_experts_per_tok (3) must not exceed model.num_experts (2)"},
      {"num_experts: 2\n  decoder_sparse_step: 1000", "no layer has experts"},
      {"separate_ffn_norm: true",
       "model.separate_ffn_norm has no effect without model.use_parallel_ffn"},
      {"sublayer_output_norm: true\n  use_parallel_ffn: true",
       "model.sublayer_output_norm and model.use_parallel_ffn cannot be used together"},
      {"norm_unit_offset: true\n  norm_type: layer_norm",
       "model.norm_unit_offset needs model.norm_type rms_norm, not layer_norm"},
      {"word_embed_proj_dim: 2048",
       "model.word_embed_proj_dim (2048) is model.hidden_size: leave it out"},
      {"rope_scaling: {rope_type: longrope, short_factor: [1], long_factor: [1]}",
       "must have 64 numbers (one per rotated pair), not 1 and 1"},
      {"rope_scaling: {rope_type: linear, factor: 2, long_factor: [1]}",
       "model.rope_scaling.long_factor belongs to rope_type longrope, not linear"},
      {"model_type: bert", "model.model_type: 'bert' is not supported; choose llama, mistral"},
      {"vocab_size: 3\n  further_eos_token_ids: [1, 7]",
       "model.further_eos_token_ids (7) must be below model.vocab_size (3)"},
      {"dropout: 1.5", "model.dropout: 1.5 is outside 0 to 0.95"},
  };
  for (const BadConfig& row : rows) {
    ModelConfig config;
    const std::string message = apply_model_text("model:\n  " + row.text + "\n", config);
    expect_contains(message, row.message);
    EXPECT_EQ(message.rfind("2: run.yaml:", 0), 0u) << message;
  }
}

TEST(ModelConfig, LlmodelExtrasAreRefusedByName) {
  for (const std::string key : {"device", "use_flash_mha", "use_rms_norm", "use_biasless_norm",
                                "use_fused_swiglu", "hiden_size"}) {
    ModelConfig config;
    expect_contains(apply_model_text("model:\n  " + key + ": true\n", config),
                    "unknown key model." + key);
  }
}

// ---- every key changes what the model computes, or a rule refuses it ----

struct KeyEffect {
  std::string value;  // another than the small config's
  std::string with;   // further keys, "a: b\n  c: d"
  enum { logits, shapes, file, training } effect = logits;
};

const std::map<std::string, KeyEffect>& key_effects() {
  static const std::map<std::string, KeyEffect> effects = {
      {"vocab_size", {"41", "", KeyEffect::shapes}},
      {"hidden_size", {"16", "", KeyEffect::shapes}},
      {"num_hidden_layers", {"1", "", KeyEffect::shapes}},
      {"num_attention_heads", {"2", ""}},
      {"num_key_value_heads", {"1", "", KeyEffect::shapes}},
      {"head_dim", {"4", "", KeyEffect::shapes}},
      {"intermediate_size", {"64", "", KeyEffect::shapes}},
      {"max_position_embeddings", {"16", "position_embedding_type: absolute", KeyEffect::shapes}},
      {"position_embedding_type", {"alibi", ""}},
      {"use_rope", {"true", "", KeyEffect::file}},
      {"rope_theta", {"100", ""}},
      {"rotary_dim", {"4", ""}},
      {"rope_local_base_freq", {"100", "sliding_window: 8"}},
      {"position_offset", {"2", "position_embedding_type: absolute", KeyEffect::shapes}},
      {"layer_types", {"sliding_attention,full_attention", "sliding_window: 2"}},
      {"attention_output_bias", {"true", "", KeyEffect::shapes}},
      {"qk_norm", {"head", "", KeyEffect::shapes}},
      {"query_pre_attn_scalar", {"1", ""}},
      {"attn_logit_softcapping", {"0.1", ""}},
      {"final_logit_softcapping", {"0.1", ""}},
      {"separate_ffn_norm", {"true", "use_parallel_ffn: true", KeyEffect::shapes}},
      {"num_experts", {"4", "", KeyEffect::shapes}},
      {"num_experts_per_tok", {"1", "num_experts: 4"}},
      {"moe_intermediate_size", {"16", "num_experts: 4", KeyEffect::shapes}},
      {"norm_topk_prob", {"true", "num_experts: 4"}},
      {"decoder_sparse_step", {"2", "num_experts: 4", KeyEffect::shapes}},
      {"mlp_only_layers", {"0", "num_experts: 4", KeyEffect::shapes}},
      {"router_aux_loss_coef",
       {"0.1", "num_experts: 4",
        KeyEffect::file}},  // gradients: Moe.TrainingAddsTheGradientOfTheBalanceLoss
      {"sublayer_output_norm", {"true", "", KeyEffect::shapes}},
      {"remove_final_norm", {"true", "", KeyEffect::shapes}},
      {"norm_unit_offset",
       {"true", "", KeyEffect::file}},  // first weights follow it: Formula.NormsMayCountFromOne
      {"word_embed_proj_dim", {"16", "", KeyEffect::shapes}},
      {"embedding_multiplier", {"3", "position_embedding_type: absolute"}},
      {"lm_head_bias", {"true", "", KeyEffect::shapes}},
      {"model_type", {"llama", "", KeyEffect::file}},  // decides the layout of saved files
      {"further_eos_token_ids", {"8,9", "", KeyEffect::file}},
      {"rope_scaling.short_factor",
       {"1,2,3,4",
        "rope_scaling.rope_type: longrope\nrope_scaling.short_factor: "
        "1,1,1,1\nrope_scaling.long_factor: 4,4,4,4"}},
      {"rope_scaling.long_factor",
       {"1,2,3,4",
        "rope_scaling.rope_type: longrope\nrope_scaling.original_max_position_embeddings: "
        "4\nrope_scaling.short_factor: 1,1,1,1\nrope_scaling.long_factor: 4,4,4,4"}},
      {"rope_scaling.rope_type", {"ntk", "rope_scaling.rope_type: linear\nrope_scaling.factor: 2"}},
      {"rope_scaling.factor", {"3", "rope_scaling.rope_type: linear"}},
      {"rope_scaling.original_max_position_embeddings",
       {"16", "rope_scaling.rope_type: yarn\nrope_scaling.factor: 4"}},
      {"rope_scaling.low_freq_factor",
       {"0.001", "rope_scaling.rope_type: llama3\nrope_scaling.factor: 8"}},
      {"rope_scaling.high_freq_factor",
       {"500", "rope_scaling.rope_type: llama3\nrope_scaling.factor: 8"}},
      {"rope_scaling.beta_fast", {"0.5", "rope_scaling.rope_type: yarn\nrope_scaling.factor: 4"}},
      {"rope_scaling.beta_slow", {"8", "rope_scaling.rope_type: yarn\nrope_scaling.factor: 4"}},
      {"rope_scaling.attention_factor",
       {"2", "rope_scaling.rope_type: yarn\nrope_scaling.factor: 4"}},
      {"use_bidirectional_attention", {"true", ""}},
      {"attention_type",
       {"standard", "",
        KeyEffect::file}},  // another way to equal logits: Formula.FlashEqualsExplicitScores
      {"sliding_window", {"2", ""}},
      {"sparse_attention.block_size", {"2", ""}},
      {"sparse_attention.local_blocks", {"2", "sparse_attention.block_size: 2"}},
      {"sparse_attention.global_blocks", {"0", "sparse_attention.block_size: 2"}},
      {"attention_bias", {"true", "", KeyEffect::shapes}},
      {"ffn_type", {"geglu", ""}},
      {"hidden_act", {"silu", "", KeyEffect::file}},
      {"mlp_bias", {"true", "", KeyEffect::shapes}},
      {"use_parallel_ffn", {"true", "", KeyEffect::shapes}},
      {"norm_type", {"layer_norm", "", KeyEffect::shapes}},
      {"norm_first", {"false", ""}},
      {"rms_norm_eps", {"0.1", ""}},
      {"dropout", {"0.5", "", KeyEffect::training}},
      {"attention_dropout", {"0.5", "", KeyEffect::training}},
      {"initializer_range", {"0.2", ""}},
      {"tie_word_embeddings", {"true", "", KeyEffect::shapes}},
      {"use_gradient_checkpointing",
       {"true", "",
        KeyEffect::file}},  // equal gradients: TransformerLaws.CheckpointedGradientsEqualPlainOnes
      {"pad_token_id",
       {"5", "", KeyEffect::file}},  // written to the model directory; read by data and generation
      {"bos_token_id", {"6", "", KeyEffect::file}},
      {"eos_token_id", {"7", "", KeyEffect::file}},
  };
  return effects;
}

ModelConfig small_with(const std::string& keys) {
  ModelConfig config = small_config();
  Fields fields;
  fields.section("model", config);
  std::map<std::string, std::string> values;  // a later line replaces an earlier one
  size_t begin = 0;
  while (begin < keys.size()) {
    const size_t end = std::min(keys.find('\n', begin), keys.size()),
                 colon = keys.find(": ", begin);
    values["model." + keys.substr(begin, colon - begin)] = keys.substr(colon + 2, end - colon - 2);
    begin = end + 1;
  }
  for (const auto& [key, value] : values) {
    fields.apply_flag(key, value);
  }
  fields.finish();
  return config;
}

TEST(ModelConfig, EveryKeyChangesTheModel) {
  ModelConfig declared;
  Fields fields;
  fields.section("model", declared);
  std::set<std::string> seen;
  for (const Field& row : fields.rows()) {
    const std::string key = row.path().substr(std::string("model.").size());
    seen.insert(key);
    SCOPED_TRACE(key);
    const auto found = key_effects().find(key);
    ASSERT_NE(found, key_effects().end()) << "a new key needs a row in key_effects()";
    const KeyEffect& effect = found->second;
    const ModelConfig before = small_with(effect.with),
                      after = small_with(effect.with + (effect.with.empty() ? "" : "\n") + key +
                                         ": " + effect.value);
    EXPECT_FALSE(before == after);
    if (effect.effect == KeyEffect::file) {
      continue;
    }
    const auto first = small_model(before), second = small_model(after);
    if (effect.effect == KeyEffect::shapes) {
      EXPECT_NE(first->flat_parameters().numel(), second->flat_parameters().numel());
      continue;
    }
    const ForwardOptions options{.training = effect.effect == KeyEffect::training,
                                 .dropout = {.seed = 1, .first_row = 0}};
    EXPECT_GT(largest_difference(logits_of(*first, token_ids(1, 16, 37), options),
                                 logits_of(*second, token_ids(1, 16, 37), options)),
              1e-4);
  }
  EXPECT_EQ(seen.size(), key_effects().size());
}

TEST(ModelSize, ClosedFormEqualsTheBuiltModel) {
  for (const std::string keys :
       {"", "tie_word_embeddings: true", "attention_bias: true\nmlp_bias: true",
        "norm_type: layer_norm", "use_parallel_ffn: true", "ffn_type: gelu",
        "position_embedding_type: absolute\nposition_offset: 2",
        "qk_norm: full\nsublayer_output_norm: true\nnorm_first: false",
        "qk_norm: head\nsublayer_output_norm: true\nremove_final_norm: true",
        "num_experts: 3\nmoe_intermediate_size: 20\ndecoder_sparse_step: 2\nmlp_bias: true",
        "use_parallel_ffn: true\nseparate_ffn_norm: true\nattention_output_bias: true",
        "word_embed_proj_dim: 20\nlm_head_bias: true\ntie_word_embeddings: true",
        "head_dim: 12\nnum_key_value_heads: 1"}) {
    const ModelConfig config = small_with(keys);
    const Transformer model(config, at::kFloat);
    int64_t counted = 0;
    for (const Parameter& parameter : model.named_parameters()) {
      EXPECT_EQ(parameter.offset, counted) << parameter.name;
      counted += parameter.tensor.numel();
    }
    EXPECT_EQ(counted, parameter_count(config)) << keys;
    EXPECT_EQ(model.flat_parameters().numel(), counted);
  }
}

TEST(ModelSize, FlopsFollowTheStatedFormula) {
  const ModelConfig tiny = model_preset("tiny");
  const double matmul = 8.0 * (4 * 512 * 512 + 3 * 512 * 1024) + 32000.0 * 512;
  EXPECT_EQ(static_cast<double>(matmul_parameter_count(tiny)), matmul);
  EXPECT_DOUBLE_EQ(training_flops_per_token(tiny, 256), 6 * matmul + 12.0 * 8 * 512 * 256);
  EXPECT_DOUBLE_EQ(forward_flops_per_token(tiny, 256), 2 * matmul + 4.0 * 8 * 512 * 256);
  EXPECT_EQ(kv_cache_bytes_per_token(tiny, 2), 2 * 8 * 8 * 64 * 2);
}

}  // namespace
}  // namespace llm::test
