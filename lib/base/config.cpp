#include "base/config.h"

#include <algorithm>

#include "base/config_value.h"
#include "base/nearest_name.h"

namespace llm {
namespace {

std::string with_dashes(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

std::string first_part(const std::string& path) {
  const size_t dot = path.find('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

}  // namespace

FieldRule in_range(long double low, long double high) {
  FieldRule rule;
  rule.low = low;
  rule.high = high;
  return rule;
}

FieldRule at_least(long double low) {
  FieldRule rule;
  rule.low = low;
  return rule;
}

FieldRule more_than(long double low) {
  FieldRule rule = at_least(low);
  rule.low_excluded = true;
  return rule;
}

FieldRule one_of(std::initializer_list<const char*> choices) {
  return one_of(std::vector<std::string>(choices.begin(), choices.end()));
}

FieldRule one_of(std::vector<std::string> choices) {
  FieldRule rule;
  rule.choices = std::move(choices);
  return rule;
}

FieldRule non_empty() {
  FieldRule rule;
  rule.not_empty = true;
  return rule;
}

FieldRule matching(std::function<bool(const std::string&)> accepts, std::string accepted) {
  FieldRule rule;
  rule.accepts = std::move(accepts);
  rule.accepted = std::move(accepted);
  return rule;
}

std::string FieldOrigin::text() const {
  switch (kind) {
    case by_command:
      return "command";
    case by_file:
      return fmt::format("{}:{}:{}", name, line, column);
    case by_environment:
      return "environment " + name;
    case by_flag:
      return name;
    default:
      return "default";
  }
}

Field::Field(std::string path, FieldValue value, std::string doc, FieldRule rule)
    : path_(std::move(path)), value_(value), doc_(std::move(doc)), rule_(std::move(rule)) {}

Field& Field::flag(std::string name) {
  flags_.push_back(with_dashes(name));
  return *this;
}

Field& Field::alias(std::string name) {
  aliases_.push_back(std::move(name));
  return *this;
}

Field& Field::required() {
  required_ = true;
  return *this;
}

Field& Field::flag_only() {
  flag_only_ = true;
  return *this;
}

Field& Field::secret() {
  secret_ = true;
  return *this;
}

Field& Field::verbatim() {
  verbatim_ = true;
  return *this;
}

Field& Field::must_exist(std::vector<std::string> or_with_suffixes) {
  must_exist_ = true;
  existing_suffixes_ = std::move(or_with_suffixes);
  return *this;
}

Field& Field::when_empty(std::string word) {
  when_empty_ = std::move(word);
  return *this;
}

Field& Field::value_name(std::string word) {
  value_name_ = std::move(word);
  return *this;
}

Field& Field::hidden() {
  hidden_ = true;
  return *this;
}

bool Field::is_list() const {
  return std::holds_alternative<std::vector<std::string>*>(value_) ||
         std::holds_alternative<std::vector<int64_t>*>(value_) ||
         std::holds_alternative<std::vector<double>*>(value_);
}

bool Field::is_bool() const {
  return std::holds_alternative<bool*>(value_) ||
         std::holds_alternative<std::optional<bool>*>(value_);
}

std::string Field::text() const { return secret_ ? "***" : value_text(value_, when_empty_); }
std::vector<std::string> Field::words() const { return value_words(value_, when_empty_); }

std::string Field::flag_name() const {
  return "--" + (flags_.empty() || short_flags_off_ ? path_ : flags_.front());
}

Fields::Fields() = default;
Fields::~Fields() = default;

Field& Fields::add(std::string_view key, FieldValue value, std::string_view doc, FieldRule rule) {
  const std::string path = join_key(prefix_, key);
  if (find(path) != nullptr) {
    fail(Exit::internal, fmt::format("config: {} is declared twice", path));
  }
  Field& row = rows_.emplace_back(path, value, std::string(doc), std::move(rule));
  flags_indexed_ = false;
  return row;
}

size_t Fields::open_section(std::string_view name, std::string_view doc) {
  const size_t depth = prefix_.size();
  if (!name.empty()) {
    prefix_ = join_key(prefix_, name);
    sections_.push_back({prefix_, std::string(doc)});
  }
  return depth;
}

void Fields::close_section(size_t depth) { prefix_.resize(depth); }

void Fields::ignore(std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    ignored_.insert(join_key(prefix_, key));
  }
}

void Fields::cross_check(std::string_view key, std::function<std::string()> problem) {
  cross_checks_.push_back({join_key(prefix_, key), std::move(problem)});
}

void Fields::top_level_means(std::string section) { top_level_section_ = std::move(section); }

void Fields::show_only(const std::vector<std::string>& sections) {
  shown_sections_.emplace(sections.begin(), sections.end());
  flags_indexed_ = false;
}

void Fields::show_also(const std::vector<std::string>& paths) {
  shown_paths_.insert(paths.begin(), paths.end());
  flags_indexed_ = false;
}

void Fields::hide(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    Field* row = find_mutable(path);
    if (row == nullptr) {
      fail(Exit::internal, fmt::format("config: no key {} to hide", path));
    }
    row->hidden_ = true;
  }
}

void Fields::add_flag(std::string_view path, std::string flag) {
  Field* row = find_mutable(path);
  if (row == nullptr) {
    fail(Exit::internal, fmt::format("config: no key {} for --{}", path, flag));
  }
  row->flags_.insert(row->flags_.begin(), with_dashes(flag));
  shown_paths_.insert(row->path_);
  flags_indexed_ = false;
}

bool Fields::is_shown(const Field& row) const {
  return !shown_sections_ || shown_sections_->contains(first_part(row.path_)) ||
         shown_paths_.contains(row.path_);
}

const Field* Fields::find(std::string_view path) const {
  const std::string wanted(path);
  const std::string section = section_of(wanted);
  const std::string key = key_of(wanted);
  for (const Field& row : rows_) {
    if (row.path_ == wanted) {
      return &row;
    }
    if (!row.aliases_.empty() && section_of(row.path_) == section &&
        std::find(row.aliases_.begin(), row.aliases_.end(), key) != row.aliases_.end()) {
      return &row;
    }
  }
  return nullptr;
}

Field* Fields::find_mutable(std::string_view path) { return const_cast<Field*>(find(path)); }

/// Dotted names of every row, short names of the shown ones. Two rows with one short name are our
/// own mistake.
void Fields::index_flags() const {
  if (flags_indexed_) {
    return;
  }
  flag_index_.clear();
  const auto enter = [&](const std::string& name, const Field& row) {
    const auto [place, is_new] = flag_index_.emplace(with_dashes(name), &row);
    if (!is_new && place->second != &row) {
      fail(Exit::internal,
           fmt::format("config: --{} means both {} and {}", name, place->second->path_, row.path_));
    }
  };
  for (const Field& row : rows_) {
    enter(row.path_, row);
    for (const std::string& alias : row.aliases_) {
      enter(join_key(section_of(row.path_), alias), row);
    }
    const_cast<Field&>(row).short_flags_off_ = !is_shown(row);
    if (!row.short_flags_off_) {
      for (const std::string& flag : row.flags_) {
        enter(flag, row);
      }
      for (const std::string& alias : row.aliases_) {
        enter(alias, row);
      }
    }
  }
  flags_indexed_ = true;
}

const Field* Fields::find_flag(std::string_view name) const { return find_flag_mutable(name); }

Field* Fields::find_flag_mutable(std::string_view name) const {
  index_flags();
  const auto found = flag_index_.find(with_dashes(name));
  return found == flag_index_.end() ? nullptr : const_cast<Field*>(found->second);
}

bool Fields::is_set(std::string_view path) const {
  const Field* row = find(path);
  return row != nullptr && row->is_set();
}

std::vector<std::string> Fields::flag_names() const {
  index_flags();
  std::vector<std::string> names;
  for (const auto& [name, row] : flag_index_) {
    if (!row->hidden_) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace llm
