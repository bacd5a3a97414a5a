// Where values come from: file, environment, flags; and the checks after the last of them.
#include <unistd.h>

#include <algorithm>

#include "base/config.h"
#include "base/config_node.h"
#include "base/config_value.h"
#include "base/file_io.h"
#include "base/nearest_name.h"

namespace llm {
namespace {

std::string variable_name(std::string_view name) {
  std::string out = "LLM_";
  for (const char c : name) {
    out += c == '.' || c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
  return out;
}

/// A text or a list of texts without any.
bool is_empty_text(const FieldValue& value) {
  if (const auto* text = std::get_if<std::string*>(&value)) return (*text)->empty();
  const auto* list = std::get_if<std::vector<std::string>*>(&value);
  return list != nullptr && (*list)->empty();
}

}  // namespace

/// Walks a parsed file beside the rows.
struct FileReader {
  Fields& fields;
  const std::string& source;

  bool is_section(const std::string& path) const {
    return std::any_of(fields.sections_.begin(), fields.sections_.end(),
                       [&](const Fields::SectionRow& row) { return row.path == path; });
  }

  /// A Hugging Face config.json holds the keys of one section at its top level.
  bool is_bare_section(const ConfigNode& root) const {
    if (!is_section(fields.top_level_section_)) {
      return false;
    }
    bool has_key = false;
    for (const ConfigNode::Member& member : root.members) {
      if (is_section(member.key)) {
        return false;
      }
      const std::string path = join_key(fields.top_level_section_, member.key);
      has_key = has_key || ((fields.find(path) != nullptr || fields.ignored_.contains(path)) &&
                            fields.find(member.key) == nullptr);
    }
    return has_key;
  }

  void read_section(const ConfigNode& node, const std::string& prefix) const {
    for (const ConfigNode::Member& member : node.members) {
      const std::string path = join_key(prefix, member.key);
      Field* row = fields.find_mutable(path);
      if (row != nullptr && !row->flag_only_) {
        set(*row, member, path);
      } else if (is_section(path)) {
        enter(member, path);
      } else if (!fields.ignored_.contains(path)) {
        refuse_unknown(member, prefix, path);
      }
    }
  }

  void set(Field& row, const ConfigNode::Member& member, const std::string& path) const {
    if (row.origin_.kind == FieldOrigin::by_file && row.origin_.name == source) {
      fail_in_config(
          source, member.line, member.column,
          fmt::format("{} is set twice (first at line {})", row.path_, row.origin_.line),
          path == row.path_ ? "" : fmt::format("{} is another name of {}", path, row.path_));
    }
    const ConfigNode& value = member.value;
    FieldSetter{row, {row.path_, source, value.line, value.column}}.set_node(value);
    row.origin_ = {FieldOrigin::by_file, source, member.line, member.column};
  }

  void enter(const ConfigNode::Member& member, const std::string& path) const {
    if (member.value.kind == ConfigNode::map) {
      read_section(member.value, path);
    } else if (member.value.kind != ConfigNode::null) {
      fail_in_config(source, member.value.line, member.value.column,
                     fmt::format("{}: expected a section, got {}", path, describe(member.value)));
    }
  }

  [[noreturn]] void refuse_unknown(const ConfigNode::Member& member, const std::string& prefix,
                                   const std::string& path) const {
    std::vector<std::string> neighbours;
    std::string elsewhere;
    for (const Field& row : fields.rows_) {
      const std::string section = section_of(row.path_);
      const std::string key = key_of(row.path_);
      if (row.flag_only_) {
        continue;
      }
      if (section == prefix) {
        neighbours.push_back(key);
        neighbours.insert(neighbours.end(), row.aliases_.begin(), row.aliases_.end());
      } else if (key == member.key || std::find(row.aliases_.begin(), row.aliases_.end(),
                                                member.key) != row.aliases_.end()) {
        elsewhere = row.path_;
      }
    }
    for (const Fields::SectionRow& row : fields.sections_) {
      if (section_of(row.path) == prefix) {
        neighbours.push_back(key_of(row.path));
      }
    }
    const std::optional<std::string> near = nearest_name(member.key, neighbours);
    const std::string meant = !elsewhere.empty() ? elsewhere : near.value_or("");
    fail_in_config(source, member.line, member.column, "unknown key " + path,
                   meant.empty() ? "" : fmt::format("did you mean {}?", meant));
  }
};

void Fields::apply_file(const std::filesystem::path& path) {
  // A byte more than the limit, so that what is too large is said with the position form of every
  // other config error.
  if (std::filesystem::is_regular_file(path) && std::filesystem::file_size(path) > kConfigBytes) {
    fail_in_config(path.string(), 1, 1, "config larger than 1 MiB");
  }
  apply_text(read_file(path, {"config", kConfigBytes, Exit::usage}), path.string());
}

void Fields::apply_text(std::string_view text, const std::string& source_name) {
  const ConfigNode root = parse_config(text, source_name);
  file_name_ = source_name;
  const FileReader reader{*this, source_name};
  reader.read_section(root, reader.is_bare_section(root) ? top_level_section_ : "");
}

void Fields::apply_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (text.starts_with("LLM_") && equals != std::string_view::npos) {
      variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  apply_environment(variables);
}

void Fields::apply_environment(const std::map<std::string, std::string>& variables) {
  if (variables.empty()) {
    return;
  }
  index_flags();
  for (Field& row : rows_) {
    // The dotted name is looked at last, so that the more exact of two variables wins.
    std::vector<std::string> names;
    if (!row.short_flags_off_) {
      names = row.flags_;
      names.insert(names.end(), row.aliases_.begin(), row.aliases_.end());
    }
    names.push_back(row.path_);
    for (const std::string& name : names) {
      const auto variable = variables.find(variable_name(name));
      if (variable != variables.end() && !variable->second.empty()) {
        FieldSetter{row, {"environment " + variable->first}}.set_words({variable->second});
        row.origin_ = {FieldOrigin::by_environment, variable->first, 0, 0};
      }
    }
  }
}

void Fields::apply_flag(const std::string& name, const std::vector<std::string>& values) {
  Field* row = find_flag_mutable(name);
  if (row == nullptr) {
    std::vector<std::string> known = flag_names();
    const std::optional<std::string> near = nearest_name(name, known);
    fail(Exit::usage, "unknown option --" + name,
         near ? fmt::format("did you mean --{}?", *near) : "");
  }
  const std::vector<std::string> words =
      values.empty() && row->is_bool() ? std::vector<std::string>{"true"} : values;
  check(!words.empty(), "--{} needs a value", name);
  check(row->is_list() || words.size() == 1, "--{} takes one value, got {}", name, words.size());
  const std::string written = row->secret_ ? "***" : fmt::format("{}", fmt::join(words, " "));
  if (row->origin_.kind == FieldOrigin::by_flag) {
    fail(Exit::usage, fmt::format("--{} given twice ({}, then {})", name, row->text(), written));
  }
  const bool was_empty = is_empty_text(row->value_);
  FieldSetter{*row, {"--" + name}}.set_words(words);
  // Often a variable of a shell that is not set: what it was to switch on would silently stay off.
  check(!(was_empty && is_empty_text(row->value_)),
        "--{}: an empty value changes nothing; leave the flag out", name);
  row->origin_ = {FieldOrigin::by_flag, "--" + name, 0, 0};
}

void Fields::override_default(std::string_view path, const std::string& value) {
  Field* row = find_mutable(path);
  if (row == nullptr) {
    fail(Exit::internal, fmt::format("config: no key {} to override", path));
  }
  FieldSetter{*row, {row->path_}}.set_words({value});
  row->origin_ = {FieldOrigin::by_command, "", 0, 0};
}

void Fields::finish(Completeness completeness) {
  index_flags();
  for (const Field& row : rows_) {
    if (row.required_ && !row.is_set() && completeness == Completeness::whole) {
      if (!file_name_.empty() && !row.flag_only_) {
        fail_in_config(file_name_, 1, 1, row.path_ + " is required");
      }
      fail(Exit::usage, row.flag_name() + " is required");
    }
    if (row.must_exist_ && completeness == Completeness::whole) {
      check_existence(row);
    }
  }
  for (const CrossCheck& rule : cross_checks_) {
    const std::string problem = rule.problem();
    if (!problem.empty()) {
      fail_at(rule.path, problem);
    }
  }
}

void Fields::check_existence(const Field& row) const {
  std::vector<std::string> names;
  if (const auto* list = std::get_if<std::vector<std::string>*>(&row.value_)) {
    names = **list;
  } else if (const auto* maybe = std::get_if<std::optional<std::string>*>(&row.value_)) {
    names.push_back((*maybe)->value_or(""));
  } else if (const auto* one = std::get_if<std::string*>(&row.value_)) {
    names.push_back(**one);
  }
  for (const std::string& name : names) {
    std::error_code failed;
    const bool exists = std::filesystem::exists(name, failed) ||
                        std::any_of(row.existing_suffixes_.begin(), row.existing_suffixes_.end(),
                                    [&](const std::string& suffix) {
                                      return std::filesystem::exists(name + suffix, failed);
                                    });
    if (!name.empty() && name != "-" && !exists) {
      const std::string subject =
          row.origin_.kind == FieldOrigin::by_flag ? row.origin_.name : row.path_;
      fail_at(row.path_, fmt::format("{}: '{}' not found (looked in {})", subject, name,
                                     std::filesystem::absolute(name).lexically_normal().string()));
    }
  }
}

/// A rule about several keys is reported where the key it names was set; if that one is not from a
/// file, where another key of the message was.
void Fields::fail_at(std::string_view path, const std::string& message,
                     const std::string& hint) const {
  const Field* place = find(path);
  const Field* from_file = nullptr;
  for (const Field& row : rows_) {
    if (row.origin_.kind == FieldOrigin::by_file &&
        (&row == place || (from_file == nullptr && message.find(row.path_) != std::string::npos))) {
      from_file = &row;
      if (&row == place) {
        break;
      }
    }
  }
  const bool by_user_elsewhere =
      place != nullptr && (place->origin_.kind == FieldOrigin::by_flag ||
                           place->origin_.kind == FieldOrigin::by_environment);
  if (from_file != nullptr && !by_user_elsewhere) {
    fail_in_config(from_file->origin_.name, from_file->origin_.line, from_file->origin_.column,
                   message, hint);
  }
  fail(Exit::usage, message, hint);
}

}  // namespace llm
