// GPT-J: attention and feed-forward side by side behind one norm, the first columns of each head
// rotated pair by pair, a bias on the head.
#include "model/families/all.h"
#include "model/families/gpt.h"

namespace llm {
namespace {

void read_gptj(HfKeys& keys) {
  read_gpt_keys(keys);
  keys.only("rotary", true);
  keys.only("scale_attn_weights", true);
  keys.set("use_parallel_ffn", true);
  keys.set("lm_head_bias", true);
  keys.set_defaults(
      {{"rotary_dim", 64}, {"max_position_embeddings", 2048}, {"attention_dropout", 0.0}});
}

void write_gptj(const ModelConfig& config, HfJson& json) {
  write_gpt_keys(config, json);
  json["rotary_dim"] = config.rotary_size();
}

std::vector<NameRule> rules_gptj() {
  const std::string theirs = "transformer.h.*.", layer = "model.layers.*.",
                    attention = layer + "self_attn.";
  return {{"transformer.wte", {"model.embed_tokens"}},
          {theirs + "attn.q_proj", {attention + "q_proj"}, StoredLayout::rotary_pairs},
          {theirs + "attn.k_proj", {attention + "k_proj"}, StoredLayout::rotary_pairs},
          {theirs + "attn.v_proj", {attention + "v_proj"}},
          {theirs + "attn.out_proj", {attention + "o_proj"}},
          {theirs + "mlp.fc_in", {layer + "mlp.up_proj"}},
          {theirs + "mlp.fc_out", {layer + "mlp.down_proj"}},
          {theirs + "ln_1", {layer + "input_layernorm"}},
          {"transformer.ln_f", {"model.norm"}}};
}

}  // namespace

Family gptj_family() {
  return {.model_type = "gptj",
          .architecture = "GPTJForCausalLM",
          .title = "GPT-J",
          .read = read_gptj,
          .write = write_gptj,
          .rules = rules_gptj,
          .base_prefix = "transformer.",
          .redundant = {".attn.bias", ".attn.masked_bias", ".attn.embed_positions"}};
}

}  // namespace llm
