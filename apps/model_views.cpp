#include "apps/model_views.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/number_text.h"
#include "base/utf8.h"
#include "model/families/families.h"
#include "model/model_size.h"

namespace llm {
namespace {

std::string shape_of(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) {
    text += (text.empty() ? "" : " x ") + std::to_string(size);
  }
  return text.empty() ? "scalar" : text;
}

// A piece on one line: control characters and quotes as escapes, at most `width` characters.
std::string shown(std::string_view bytes, size_t width = 24) {
  std::string out;
  const std::string text = utf8::replace_invalid(bytes);
  size_t letters = 0;
  for (size_t at = 0; at < text.size() && letters < width; ++letters) {
    const utf8::Character letter = utf8::first_character(std::string_view(text).substr(at));
    const char c = text[at];
    out += c == '\n'   ? std::string("\\n")
           : c == '\t' ? std::string("\\t")
           : static_cast<unsigned char>(c) < 0x20 || c == 0x7f
               ? fmt::format("\\x{:02x}", static_cast<unsigned char>(c))
               : text.substr(at, letter.length);
    at += letter.length;
  }
  return "'" + out + "'";
}

std::string shown_token(const Tokenizer& tokenizer, int32_t id) {
  if (id >= tokenizer.vocab_size()) {  // a row that only pads the embedding
    return fmt::format("<unused {}>", id);
  }
  const std::string_view bytes = tokenizer.token_bytes(id);
  return bytes.empty() ? std::string(tokenizer.token_text(id)) : shown(bytes);
}

at::Tensor input_of(const Transformer& model, const std::vector<int32_t>& ids) {
  check(!ids.empty(), "--tokens: an empty text has no tokens");
  check(static_cast<int64_t>(ids.size()) <= model.config().max_position_embeddings,
        "--tokens: {} tokens are more than the model's context of {}", ids.size(),
        model.config().max_position_embeddings);
  for (const int32_t id : ids) {
    check_input(id < model.config().vocab_size, "token {} is not below vocab_size {}", id,
                model.config().vocab_size);
  }
  return at::tensor(ids, at::kLong).unsqueeze(0);
}

}  // namespace

std::string config_view(const ModelConfig& config) {
  std::string text = fmt::format(
      "{}: {} layers, hidden {}, {} heads ({} key/value) of {}, feed-forward {} ({}), vocabulary "
      "{}, context {}\n",
      family_of(config).model_type, config.num_hidden_layers, config.hidden_size,
      config.num_attention_heads, config.key_value_heads(), config.head_size(), config.ffn_size(),
      config.ffn_type, format_count(config.vocab_size),
      format_count(config.max_position_embeddings));
  if (config.moe.num_experts) {
    text += fmt::format("{} experts of {}, {} per token\n", *config.moe.num_experts,
                        config.expert_size(), config.experts_per_token());
  }
  return text + fmt::format(
                    "{} parameters, {:.3g} FLOPs per token forward, {} of key/value cache per "
                    "token (float32)\n",
                    human_count(parameter_count(config)), forward_flops_per_token(config, 1),
                    human_bytes(static_cast<uint64_t>(kv_cache_bytes_per_token(config, 4))));
}

std::string parameter_view(const WeightSource& weights) {
  constexpr const char* kRow = "{:<58} {:<18} {:<8} {:>14} {:>14}\n";
  std::string table = fmt::format(kRow, "parameter", "shape", "stored", "values", "bytes");
  int64_t total = 0;
  uint64_t bytes = 0;
  for (const WeightEntry& entry : weights.entries()) {
    int64_t count = 1;
    for (const int64_t size : entry.shape) {
      count *= size;
    }
    total += count;
    bytes += entry.bytes;
    table += fmt::format(kRow, entry.name, shape_of(entry.shape), entry.dtype, format_count(count),
                         format_count(static_cast<int64_t>(entry.bytes)));
  }
  return table + fmt::format(kRow, "total", weights.format(), "", format_count(total),
                             format_count(static_cast<int64_t>(bytes)));
}

std::string token_view(const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int32_t> ids = tokenizer.encode(text);
  std::string out = fmt::format("{} bytes, {} tokens\n", text.size(), ids.size());
  for (const int32_t id : ids) {
    out += fmt::format("{:>7}  {}\n", id, tokenizer.token_text(id));
  }
  return out;
}

std::string logit_view(const Transformer& model, const Tokenizer& tokenizer,
                       const std::vector<int32_t>& ids, int64_t count) {
  const c10::InferenceMode inference;
  const at::Tensor logits = model.logits(model.hidden_states(input_of(model, ids)))[0];
  if (logits.isnan().any().item<bool>()) {
    fail(Exit::numerical, "--logits: the model's logits hold values that are not a number",
         "its weights are damaged, or their training has failed");
  }
  const auto [values, places] =
      at::softmax(logits.to(at::kFloat), -1).topk(std::min(count, logits.size(1)), -1);
  std::string out = fmt::format("after {:<26} comes\n", "...");
  for (size_t t = 0; t < ids.size(); ++t) {
    out += fmt::format("{:>7}  {:<22}", ids[t], shown_token(tokenizer, ids[t]));
    for (int64_t i = 0; i < values.size(1); ++i) {
      const auto row = static_cast<int64_t>(t);
      out += fmt::format("  {:.1f}% {}", 100 * values[row][i].item<float>(),
                         shown_token(tokenizer, places[row][i].item<int32_t>()));
    }
    out += "\n";
  }
  return out;
}

std::string attention_view(const Transformer& model, const Tokenizer& tokenizer,
                           const std::vector<int32_t>& ids, int64_t layer, int64_t head) {
  const ModelConfig& config = model.config();
  check(layer < config.num_hidden_layers, "--attention {}: the model has layers 0 to {}", layer,
        config.num_hidden_layers - 1);
  check(head < config.num_attention_heads, "--head {}: the model has heads 0 to {}", head,
        config.num_attention_heads - 1);
  const c10::InferenceMode inference;
  at::Tensor weights;  // (T, T)
  ForwardOptions options;
  options.on_attention = [&](int64_t at_layer, const at::Tensor& all) {
    if (at_layer == layer) {
      weights = head < 0 ? all[0].mean(0) : all[0][head];
    }
  };
  model.hidden_states(input_of(model, ids), options);
  weights = weights.to(at::kFloat).contiguous();
  std::string out =
      fmt::format("layer {}, {}: how much each token looks at each, in percent\n", layer,
                  head < 0 ? "mean of all heads" : fmt::format("head {}", head));
  out += fmt::format("{:>22}", "");
  for (size_t t = 0; t < ids.size(); ++t) {
    out += fmt::format("{:>4}", t);
  }
  const float* value = weights.const_data_ptr<float>();
  for (size_t t = 0; t < ids.size(); ++t) {
    out += fmt::format("\n{:>4} {:<17}", t, shown(tokenizer.token_bytes(ids[t]), 14));
    for (size_t s = 0; s < ids.size(); ++s, ++value) {
      out += s > t && *value == 0 ? "    " : fmt::format("{:>4.0f}", 100 * *value);
    }
  }
  return out + "\n";
}

}  // namespace llm
