// What the rows say in print: config files, --print-config, --help.
#include <algorithm>

#include "base/config.h"
#include "base/config_value.h"
#include "base/number_text.h"
#include "base/utf8.h"

namespace llm {
namespace {

/// A text in double quotes, the same in JSON and YAML.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : utf8::replace_invalid(text)) {
    switch (c) {
      case '"':
      case '\\':
        out += '\\';
        out += c;
        break;
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F
                   ? fmt::format("\\u{:04x}", static_cast<int>(c))
                   : std::string(1, c);
    }
  }
  return out + '"';
}

/// Words that every YAML reader takes as text go bare; the rest is quoted.
std::string yaml_text(const std::string& text) {
  static constexpr std::string_view kStart =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_/";
  static constexpr std::string_view kInside =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.+-";
  static const std::vector<std::string> kReserved{"true", "false", "null", "yes", "no",
                                                  "on",   "off",   "y",    "n"};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const bool bare = !text.empty() && kStart.find(text[0]) != std::string_view::npos &&
                    text.find_first_not_of(kInside) == std::string::npos &&
                    std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
  return bare ? text : quoted(text);
}

std::string file_scalar(bool value, bool) { return value ? "true" : "false"; }
std::string file_scalar(int64_t value, bool) { return fmt::format("{}", value); }
std::string file_scalar(double value, bool) { return format_number(value); }
std::string file_scalar(const std::string& value, bool yaml) {
  return yaml ? yaml_text(value) : quoted(value);
}

template <typename T>
std::string file_text(const std::vector<T>& values, bool yaml) {
  std::string out;
  for (const T& value : values) {
    out += (out.empty() ? "" : ", ") + file_scalar(value, yaml);
  }
  return "[" + out + "]";
}
template <typename T>
std::string file_text(const std::optional<T>& value, bool yaml) {
  return value ? file_scalar(*value, yaml) : "null";
}
template <typename T>
std::string file_text(const T& value, bool yaml) {
  return file_scalar(value, yaml);
}

std::string rule_text(const FieldRule& rule) {
  if (!rule.choices.empty()) {
    return fmt::format("{}", fmt::join(rule.choices, ", "));
  }
  if (rule.accepts) {
    return rule.accepted;
  }
  if (rule.low && rule.high) {
    return fmt::format("{} to {}", bound_text(*rule.low), bound_text(*rule.high));
  }
  if (rule.low) {
    return fmt::format("{} {}", rule.low_excluded ? "above" : "at least", bound_text(*rule.low));
  }
  return "";
}

}  // namespace

struct ConfigWriter {
  const Fields& fields;

  static bool says_nothing(const Field& row) {
    const auto* flag = std::get_if<bool*>(&row.value_);
    const std::string text = value(row, false);
    return flag ? !**flag : text == "null" || text == "[]";
  }

  /// A hidden key (an older spelling of another, or one that few need) is written only if it says
  /// something: not while it is empty or false.
  static bool is_written(const Field& row) {
    return !row.flag_only_ && !row.secret_ && !(row.hidden_ && says_nothing(row));
  }

  static std::string value(const Field& row, bool yaml) {
    return std::visit([&](const auto* target) { return file_text(*target, yaml); }, row.value_);
  }

  static std::string comment(const Field& row) {
    const std::string rule = rule_text(row.rule_);
    return rule.empty() ? row.doc_ : fmt::format("{} ({})", row.doc_, rule);
  }

  bool has_rows(const std::string& section) const {
    return std::any_of(fields.rows_.begin(), fields.rows_.end(), [&](const Field& row) {
      return is_written(row) && row.path_.starts_with(section + ".");
    });
  }

  std::string yaml(const std::string& section, int depth, bool comments) const {
    const std::string indent(static_cast<size_t>(depth) * 2, ' ');
    std::string out;
    for (const Field& row : fields.rows_) {
      if (section_of(row.path_) == section && is_written(row)) {
        out += comments ? fmt::format("{}# {}\n", indent, comment(row)) : "";
        out += fmt::format("{}{}: {}\n", indent, key_of(row.path_), value(row, true));
      }
    }
    for (const Fields::SectionRow& row : fields.sections_) {
      if (section_of(row.path) == section && has_rows(row.path)) {
        out += comments ? fmt::format("{}{}# {}\n", depth == 0 ? "\n" : "", indent, row.doc) : "";
        out +=
            fmt::format("{}{}:\n{}", indent, key_of(row.path), yaml(row.path, depth + 1, comments));
      }
    }
    return out;
  }

  std::string json(const std::string& section, int depth, int indent) const {
    const std::string pad =
        indent < 0 ? "" : "\n" + std::string(static_cast<size_t>(indent * (depth + 1)), ' ');
    const std::string_view colon = indent < 0 ? ":" : ": ";
    std::string out;
    for (const Field& row : fields.rows_) {
      if (section_of(row.path_) == section && is_written(row)) {
        out += fmt::format("{}{}{}{}{}", out.empty() ? "" : ",", pad, quoted(key_of(row.path_)),
                           colon, value(row, false));
      }
    }
    for (const Fields::SectionRow& row : fields.sections_) {
      if (section_of(row.path) == section && has_rows(row.path)) {
        out += fmt::format("{}{}{}{}{}", out.empty() ? "" : ",", pad, quoted(key_of(row.path)),
                           colon, json(row.path, depth + 1, indent));
      }
    }
    const std::string closing =
        indent < 0 ? "" : "\n" + std::string(static_cast<size_t>(indent * depth), ' ');
    return "{" + out + closing + "}";
  }

  static std::string value_name(const Field& row) {
    if (!row.value_name_.empty()) {
      return row.value_name_;
    }
    struct Names {
      std::string operator()(const bool*) const { return "true|false"; }
      std::string operator()(const int64_t*) const { return "N"; }
      std::string operator()(const double*) const { return "X"; }
      std::string operator()(const std::string*) const { return "TEXT"; }
      std::string operator()(const std::vector<std::string>*) const { return "TEXT..."; }
      std::string operator()(const std::vector<int64_t>*) const { return "N..."; }
      std::string operator()(const std::vector<double>*) const { return "X..."; }
      std::string operator()(const std::optional<bool>*) const { return "true|false"; }
      std::string operator()(const std::optional<int64_t>*) const { return "N"; }
      std::string operator()(const std::optional<double>*) const { return "X"; }
      std::string operator()(const std::optional<std::string>*) const { return "TEXT"; }
    };
    return std::visit(Names{}, row.value_);
  }

  static std::string help_line(const Field& row) {
    std::string names = row.flag_name();
    for (size_t i = row.short_flags_off_ ? row.flags_.size() : 1; i < row.flags_.size(); ++i) {
      names += ", --" + row.flags_[i];
    }
    names += " " + value_name(row);
    std::string facts = rule_text(row.rule_);
    const std::string current = row.text();
    const bool has_default = !current.empty() && !row.required_ && !row.secret_;
    if (row.required_ || has_default) {
      facts += (facts.empty() ? "" : "; ") +
               (row.required_ ? std::string("required") : "default " + current);
    }
    const std::string text = facts.empty() ? row.doc_ : fmt::format("{} ({})", row.doc_, facts);
    return names.size() + 4 > kHelpColumn
               ? fmt::format("  {}\n{:{}}{}\n", names, "", kHelpColumn, wrapped(text))
               : fmt::format("  {:<{}}{}\n", names, kHelpColumn - 2, wrapped(text));
  }

  static constexpr size_t kHelpColumn = 38;
  static constexpr size_t kHelpWidth = 120;

  /// Words of the right column, on as many lines as they need.
  static std::string wrapped(const std::string& text) {
    std::string out;
    size_t used = 0;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find(' ', begin), text.size());
      const size_t length = end - begin;
      if (used > 0 && kHelpColumn + used + 1 + length > kHelpWidth) {
        out += "\n" + std::string(kHelpColumn, ' ');
        used = 0;
      }
      out += (used > 0 ? " " : "") + text.substr(begin, length);
      used += length + (used > 0 ? 1 : 0);
      begin = end + 1;
    }
    return out;
  }
};

std::string Fields::print_config() const {
  size_t width = 0;
  std::vector<std::pair<std::string, std::string>> lines;
  for (const Field& row : rows_) {
    if (row.hidden_ && row.flag_only_ && !row.is_set()) {
      continue;  // no key of a file, and none of the flags that a user is told of
    }
    const std::string value = row.secret_ ? "***" : ConfigWriter::value(row, true);
    lines.emplace_back(fmt::format("{} = {}", row.path_, value), row.origin_.text());
    width = std::max(width, std::min<size_t>(lines.back().first.size(), 60));
  }
  std::string out;
  for (const auto& [text, origin] : lines) {
    out += fmt::format("{:<{}}  # {}\n", text, width, origin);
  }
  return out;
}

std::string Fields::to_yaml_with_comments() const { return ConfigWriter{*this}.yaml("", 0, true); }
std::string Fields::to_yaml() const { return ConfigWriter{*this}.yaml("", 0, false); }
std::string Fields::to_json(int indent) const {
  return ConfigWriter{*this}.json("", 0, indent) + "\n";
}
std::string Fields::to_json_section(std::string_view section) const {
  return ConfigWriter{*this}.json(std::string(section), 0, 2) + "\n";
}

/// The rows of the top level first, then one block per shown section in the order of declaration.
std::string Fields::help() const {
  index_flags();
  std::vector<std::pair<std::string, std::string>> blocks;
  std::vector<std::string> unlisted;
  const auto block_of = [&](const std::string& name) -> std::string& {
    for (auto& [known, text] : blocks) {
      if (known == name) {
        return text;
      }
    }
    return blocks.emplace_back(name, "").second;
  };
  block_of("");
  for (const Field& row : rows_) {
    const std::string section =
        row.path_.substr(0, std::min(row.path_.find('.'), row.path_.size()));
    if (row.hidden_) {
      continue;
    }
    if (is_shown(row)) {
      block_of(row.path_.find('.') == std::string::npos ? "" : section) +=
          ConfigWriter::help_line(row);
    } else if (std::find(unlisted.begin(), unlisted.end(), section) == unlisted.end()) {
      unlisted.push_back(section);
    }
  }
  std::string out;
  for (const auto& [name, text] : blocks) {
    const auto section = std::find_if(sections_.begin(), sections_.end(),
                                      [&](const SectionRow& row) { return row.path == name; });
    const std::string title = name.empty() ? "Options"
                              : section != sections_.end() && !section->doc.empty()
                                  ? fmt::format("{} ({})", section->doc, name)
                                  : name;
    if (!text.empty()) {
      out += fmt::format("{}{}:\n{}", out.empty() ? "" : "\n", title, text);
    }
  }
  if (!unlisted.empty()) {
    out += fmt::format(
        "\nKeys of the sections {} can be given too, by their dotted names: --section.key VALUE.\n",
        fmt::join(unlisted, ", "));
  }
  return out;
}

}  // namespace llm
