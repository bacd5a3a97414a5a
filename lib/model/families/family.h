// One family of models as Hugging Face stores it: how its config.json says a ModelConfig, and how
// its files name and lay out our parameters. The computation is the one Transformer; a family is a
// translation and nothing else, so a new one is one small file and one line in families.cpp.
//
// A family's tensors are rules over our parameter names (those of parameter_layout.h). A rule names
// modules, and holds for their weight and their bias alike; each * stands for a number (the layer,
// then the expert), the same in both names. A parameter that no rule mentions keeps its name:
//
//   {"transformer.h.*.attn.c_attn", {"model.layers.*.self_attn.q_proj", "...k_proj", "...v_proj"},
//    StoredLayout::columns}
//
// No LibTorch here.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "model/model_config.h"

namespace llm {

class HfKeys;

/// How the parameters of one stored tensor lie in it.
enum class StoredLayout {
  rows,     // one below the other (also: a single parameter, as it is)
  columns,  // the same, transposed: (in, out), as GPT-2's Conv1D
  heads,    // head by head: the first parameter's rows of head 0, the second's, ...; then head 1
  rotary_pairs  // rotated rows of each head lie pair by pair (0, R/2, 1, R/2 + 1, ...), as GPT-J
};

struct NameRule {
  std::string stored;
  std::vector<std::string> ours;
  StoredLayout layout = StoredLayout::rows;
};

/// One tensor of a file: which of our parameters it holds, and how.
struct StoredTensor {
  std::string name;
  std::vector<std::string> parameters;
  StoredLayout layout = StoredLayout::rows;
  std::vector<int64_t> shape = {};
  int64_t head_dim = 0, rotary_dim = 0;  // of layouts heads and rotary_pairs
};

struct Family {
  const char* model_type;    // "qwen2"
  const char* architecture;  // "Qwen2ForCausalLM"
  const char* title;         // for tables and lists: "Qwen2, Qwen2.5"
  /// Turns the family's keys into ours (those of ModelConfig::fields()), sets what the family
  /// implies, refuses what it cannot do. What is left unknown is refused afterwards.
  void (*read)(HfKeys& keys);
  /// The family's config.json for a config of this family.
  void (*write)(const ModelConfig& config, nlohmann::ordered_json& json);
  std::vector<NameRule> (*rules)() = nullptr;  // none: our names are theirs
  /// What files of the bare model leave out before their names: "transformer."
  const char* base_prefix = "";
  /// Endings of names that files may hold and no model needs: masks, tables that are computed.
  std::vector<const char*> redundant = {};
};

}  // namespace llm
