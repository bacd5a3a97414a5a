// A config file as a tree with positions, the same for YAML and JSON.
//
// Both readers are strict: UTF-8 text of at most 1 MiB, one document, nesting to 64, every key once
// and a plain text, no anchors, merge keys or tags. What they refuse is Error(Exit::usage)
// "FILE:LINE:COL: message".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace llm {

struct ConfigNode {
  enum Kind {
    null,
    word,     // YAML without quotes: text, number or truth value, as the key wants it
    text,     // in quotes
    literal,  // a JSON number, true or false
    list,
    map,
  };
  struct Member;

  Kind kind = null;
  std::string content;  // of a scalar
  int line = 1, column = 1;
  std::vector<ConfigNode> items;
  std::vector<Member> members;
};

struct ConfigNode::Member {
  std::string key;
  int line = 1, column = 1;
  ConfigNode value;
};

inline constexpr int kConfigDepth = 64;
inline constexpr size_t kConfigBytes = 1 << 20;

/// By the suffix of the name (.json, .yaml, .yml), else JSON if the first character is '{'.
ConfigNode parse_config(std::string_view text, const std::string& source_name);

ConfigNode parse_yaml_config(std::string_view text, const std::string& source_name);
ConfigNode parse_json_config(std::string_view text, const std::string& source_name);

/// "5", "'five'", "a list", "nothing": how a message names what stands there.
std::string describe(const ConfigNode& node);

[[noreturn]] void fail_in_config(const std::string& source_name, int line, int column,
                                 const std::string& message, const std::string& hint = {});

}  // namespace llm
