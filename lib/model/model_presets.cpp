#include "model/model_presets.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "base/nearest_name.h"

namespace llm {
namespace {

struct PresetShape {
  int64_t vocab, layers, hidden, heads, ffn, positions;
};

const std::map<std::string, PresetShape, std::less<>>& preset_shapes() {
  static const std::map<std::string, PresetShape, std::less<>> shapes = {
      {"mini", {2048, 2, 128, 4, 448, 256}},        {"tiny", {32000, 8, 512, 8, 1024, 512}},
      {"small", {32000, 12, 1024, 16, 2048, 1024}}, {"base", {32000, 24, 2048, 16, 5504, 2048}},
      {"large", {32000, 32, 2560, 32, 6912, 4096}}, {"xl", {32000, 64, 4096, 32, 11008, 4096}}};
  return shapes;
}

}  // namespace

const std::vector<std::string>& model_preset_names() {
  static const std::vector<std::string> names = {"mini", "tiny", "small", "base", "large", "xl"};
  return names;
}

ModelConfig model_preset(std::string_view name) {
  const auto& shapes = preset_shapes();
  const auto found = shapes.find(name);
  if (found == shapes.end()) {
    fail(Exit::usage,
         fmt::format("--type: '{}' is not supported; choose {}", name,
                     fmt::join(model_preset_names(), ", ")),
         nearest_name_hint(name, model_preset_names()));
  }
  const PresetShape& shape = found->second;
  ModelConfig config;
  config.vocab_size = shape.vocab;
  config.num_hidden_layers = shape.layers;
  config.hidden_size = shape.hidden;
  config.num_attention_heads = shape.heads;
  config.intermediate_size = shape.ffn;
  config.max_position_embeddings = shape.positions;
  config.initializer_range =
      name == "mini"
          ? 0.08
          : config.initializer_range;  // a narrow model learns little from small first weights
  config.dropout = name == "base" ? 0.1 : 0.0;
  config.use_gradient_checkpointing = name == "large" || name == "xl";
  return config;
}

}  // namespace llm
