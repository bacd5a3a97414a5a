#include "base/config_node.h"

#include <map>

#include "base/error.h"
#include "base/utf8.h"

namespace llm {
namespace {

struct Position {
  int line = 1, column = 1;
};

Position position_of(std::string_view text, size_t offset) {
  Position position;
  for (const char c : text.substr(0, offset)) {
    position.column = c == '\n' ? 1 : position.column + 1;
    position.line += c == '\n';
  }
  return position;
}

void check_text(std::string_view text, const std::string& source_name) {
  if (text.size() > kConfigBytes) {
    fail_in_config(source_name, 1, 1, "config larger than 1 MiB");
  }
  const size_t nul = text.find('\0');
  if (nul != std::string_view::npos) {
    const Position at = position_of(text, nul);
    fail_in_config(source_name, at.line, at.column,
                   fmt::format("not text (NUL byte at offset {})", nul));
  }
  if (const auto bad = utf8::first_invalid(text)) {
    const Position at = position_of(text, *bad);
    fail_in_config(source_name, at.line, at.column,
                   fmt::format("not text (invalid UTF-8 at byte {})", *bad));
  }
}

void check_unique(const ConfigNode& node, const std::string& path, const std::string& source_name) {
  std::map<std::string_view, int> first_line;
  for (const ConfigNode::Member& member : node.members) {
    const std::string here = path.empty() ? member.key : path + "." + member.key;
    const auto [earlier, is_new] = first_line.emplace(member.key, member.line);
    if (!is_new) {
      fail_in_config(source_name, member.line, member.column,
                     fmt::format("{} is set twice (first at line {})", here, earlier->second));
    }
    check_unique(member.value, here, source_name);
  }
  for (const ConfigNode& item : node.items) {
    check_unique(item, path, source_name);
  }
}

bool is_json(std::string_view text, std::string_view name) {
  if (name.ends_with(".json")) {
    return true;
  }
  if (name.ends_with(".yaml") || name.ends_with(".yml")) {
    return false;
  }
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

}  // namespace

void fail_in_config(const std::string& source_name, int line, int column,
                    const std::string& message, const std::string& hint) {
  fail(Exit::usage, fmt::format("{}:{}:{}: {}", source_name, line, column, message), hint);
}

std::string describe(const ConfigNode& node) {
  switch (node.kind) {
    case ConfigNode::null:
      return "nothing";
    case ConfigNode::list:
      return "a list";
    case ConfigNode::map:
      return "a section";
    case ConfigNode::text:
      return fmt::format("'{}'", node.content);
    default:
      return node.content;
  }
}

ConfigNode parse_config(std::string_view text, const std::string& source_name) {
  check_text(text, source_name);
  if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    fail_in_config(source_name, 1, 1, "config is empty");
  }
  ConfigNode root = is_json(text, source_name) ? parse_json_config(text, source_name)
                                               : parse_yaml_config(text, source_name);
  if (root.kind == ConfigNode::null) {
    fail_in_config(source_name, root.line, root.column, "config is empty");
  }
  if (root.kind != ConfigNode::map) {
    fail_in_config(source_name, root.line, root.column,
                   "top level must be a map of sections, found " + describe(root));
  }
  check_unique(root, "", source_name);
  return root;
}

}  // namespace llm
