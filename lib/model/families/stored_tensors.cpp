// From a family's rules to the list of its tensors.
#include <fmt/format.h>

#include <map>

#include "base/error.h"
#include "model/families/families.h"
#include "model/parameter_layout.h"

namespace llm {
namespace {

using Numbers = std::vector<std::string>;

// "model.layers.*.mlp" against "model.layers.12.mlp": the numbers that the stars stand for.
std::optional<Numbers> match(std::string_view pattern, std::string_view name) {
  Numbers numbers;
  size_t at = 0;
  for (const char letter : pattern) {
    if (letter != '*') {
      if (at >= name.size() || name[at] != letter) {
        return std::nullopt;
      }
      ++at;
      continue;
    }
    const size_t begin = at;
    while (at < name.size() && name[at] >= '0' && name[at] <= '9') {
      ++at;
    }
    numbers.emplace_back(name.substr(begin, at - begin));
  }
  return at == name.size() ? std::optional(numbers) : std::nullopt;
}

std::string filled(std::string_view pattern, const Numbers& numbers) {
  std::string name;
  size_t next = 0;
  for (const char letter : pattern) {
    name += letter == '*' ? numbers.at(next++) : std::string(1, letter);
  }
  return name;
}

// "model.norm.weight" -> "model.norm", ".weight".
std::pair<std::string, std::string> module_and_ending(const std::string& parameter) {
  const size_t dot = parameter.rfind('.');
  return {parameter.substr(0, dot), parameter.substr(dot)};
}

void set_shape(StoredTensor& stored, const std::map<std::string, std::vector<int64_t>>& shapes) {
  stored.shape = shapes.at(stored.parameters.front());
  for (size_t i = 1; i < stored.parameters.size(); ++i) {
    stored.shape[0] += shapes.at(stored.parameters[i])[0];
  }
  if (stored.layout == StoredLayout::columns && stored.shape.size() == 2) {
    std::swap(stored.shape[0], stored.shape[1]);
  }
}

struct RulePlace {
  const NameRule* rule;
  size_t index;  // of ours
  Numbers numbers;
};

std::optional<RulePlace> find_rule(const std::vector<NameRule>& rules, const std::string& module) {
  for (const NameRule& rule : rules) {
    for (size_t i = 0; i < rule.ours.size(); ++i) {
      if (auto numbers = match(rule.ours[i], module)) {
        return RulePlace{&rule, i, std::move(*numbers)};
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<StoredTensor> stored_tensors(const ModelConfig& config) {
  return stored_tensors(config, family_of(config));
}

std::vector<StoredTensor> stored_tensors(const ModelConfig& config, const Family& family) {
  const std::vector<NameRule> rules = family.rules ? family.rules() : std::vector<NameRule>{};
  const std::vector<ParameterPlace> layout = parameter_layout(config);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const ParameterPlace& place : layout) {
    shapes[place.name] = place.shape;
  }
  std::vector<StoredTensor> list;
  for (const ParameterPlace& place : layout) {
    const auto [module, ending] = module_and_ending(place.name);
    StoredTensor stored{.name = place.name,
                        .parameters = {place.name},
                        .head_dim = config.head_size(),
                        .rotary_dim = config.rotary_size()};
    if (const auto found = find_rule(rules, module)) {
      if (found->index > 0) {
        continue;  // joined to the first one's tensor
      }
      stored.name = filled(found->rule->stored, found->numbers) + ending;
      stored.layout = found->rule->layout;
      stored.parameters.clear();
      for (const std::string& ours : found->rule->ours) {
        stored.parameters.push_back(filled(ours, found->numbers) + ending);
      }
    }
    set_shape(stored, shapes);
    list.push_back(std::move(stored));
  }
  return list;
}

std::string canonical_stored_name(const ModelConfig& config, const Family& family,
                                  const std::string& name) {
  for (const char* ending : family.redundant) {
    if (name.ends_with(ending)) {
      return "";
    }
  }
  std::string head = "lm_head.weight";  // a tied head is the embedding
  for (const NameRule& rule : family.rules ? family.rules() : std::vector<NameRule>{}) {
    head = rule.ours.front() == "lm_head" ? rule.stored + ".weight" : head;
  }
  if (config.tie_word_embeddings && name == head) {
    return "";
  }
  const bool bare = *family.base_prefix != '\0' && !name.starts_with(family.base_prefix) &&
                    !name.starts_with("lm_head.") && name != head;
  return bare ? family.base_prefix + name : name;
}

}  // namespace llm
