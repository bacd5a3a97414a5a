// Reading text into a Field, with messages that name where the text stood. Internal to the config
// system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/config_node.h"

namespace llm {

/// Where a value stands, for messages.
struct ValuePlace {
  std::string name;  // "model.hidden_size", "--lr" or "environment LLM_LR"
  std::string file = {};
  int line = 0, column = 0;

  bool in_file() const { return !file.empty(); }
  std::string start() const;  // "run.yaml:3:5: model.hidden_size", or the name alone
};

struct FieldSetter {
  Field& row;
  ValuePlace place;

  /// Scalars take exactly one word; an empty optional is one of auto, none, null.
  void set_words(const std::vector<std::string>& words) const;
  void set_node(const ConfigNode& node) const;
};

std::string value_text(const FieldValue& value, const std::string& when_empty);
/// One word, of a list one for each item.
std::vector<std::string> value_words(const FieldValue& value, const std::string& when_empty);
std::string bound_text(long double bound);
/// Paths of keys: "optimizer.learning_rate".
std::string join_key(const std::string& section, std::string_view key);
std::string section_of(const std::string& path);
std::string key_of(const std::string& path);

std::vector<std::string> split_commas(const std::string& text);

}  // namespace llm
