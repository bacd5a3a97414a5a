#include "base/json_reader.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/file_io.h"
#include "base/nearest_name.h"
#include "base/utf8.h"

namespace llm {
namespace {

using nlohmann::json;

/// Builds the document while it watches depth and keys; what it refuses is kept for the caller, who
/// knows the source.
template <typename Json>
class GuardedBuilder : public Json::json_sax_t {
 public:
  GuardedBuilder(Json& root, int max_depth) : root_(root), max_depth_(max_depth) {}

  const std::string& problem() const { return problem_; }
  size_t problem_offset() const { return problem_offset_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(typename Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (!keys_.back().insert(name).second) {
      problem_ = fmt::format("key '{}' appears twice", name);
      return false;
    }
    key_ = name;
    return true;
  }

  bool parse_error(size_t offset, const std::string&, const typename Json::exception&) override {
    problem_offset_ = offset;
    return false;
  }

 private:
  template <typename T>
  bool add(T&& value) {
    place(std::forward<T>(value));
    return true;
  }

  template <typename T>
  Json* place(T&& value) {
    if (levels_.empty()) {
      root_ = std::forward<T>(value);
      return &root_;
    }
    Json& level = *levels_.back();
    if (level.is_array()) {
      level.push_back(std::forward<T>(value));
      return &level.back();
    }
    auto& members = level.template get_ref<typename Json::object_t&>();
    if constexpr (requires { members.push_back({key_, Json()}); }) {
      members.push_back(
          {key_, Json(std::forward<T>(value))});  // keeps the order; key() saw that it is new
      return &members.back().second;
    } else {
      return &(members[key_] = std::forward<T>(value));
    }
  }

  bool open(Json container) {
    if (static_cast<int>(levels_.size()) >= max_depth_) {
      problem_ = fmt::format("nesting deeper than {}", max_depth_);
      return false;
    }
    levels_.push_back(place(std::move(container)));
    keys_.emplace_back();
    return true;
  }

  bool close() {
    levels_.pop_back();
    keys_.pop_back();
    return true;
  }

  Json& root_;
  const int max_depth_;
  std::vector<Json*> levels_;  // a container grows only while it is the last one, so the pointers
                               // above it stay good
  std::vector<std::unordered_set<std::string>> keys_;  // of each level
  std::string key_;
  std::string problem_;
  size_t problem_offset_ = 0;
};

template <typename Json>
Json parse_guarded(std::string_view text, std::string_view source, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    fail(limits.exit, fmt::format("{}: larger than {} bytes", source, limits.max_bytes));
  }
  if (const auto bad = utf8::first_invalid(text)) {
    fail(limits.exit, fmt::format("{}: invalid UTF-8 at byte {}", source, *bad));
  }
  Json root;
  GuardedBuilder<Json> builder(root, limits.max_depth);
  if (Json::sax_parse(text.begin(), text.end(), &builder)) {
    return root;
  }
  if (!builder.problem().empty()) {
    fail(limits.exit, fmt::format("{}: {}", source, builder.problem()));
  }
  const size_t offset =
      std::min(builder.problem_offset() > 0 ? builder.problem_offset() - 1 : 0, text.size());
  size_t line = 1, column = 1;
  for (const char c : text.substr(0, offset)) {
    column = c == '\n' ? 1 : column + 1;
    line += c == '\n';
  }
  const bool at_end = text.find_first_not_of(" \t\r\n", offset) == std::string_view::npos;
  fail(limits.exit, fmt::format("{}: invalid JSON at line {} column {}{}", source, line, column,
                                at_end ? ": unexpected end" : ""));
}

std::string child_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

}  // namespace

json parse_json(std::string_view text, std::string_view source, const JsonLimits& limits) {
  return parse_guarded<json>(text, source, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view source,
                                          const JsonLimits& limits) {
  return parse_guarded<nlohmann::ordered_json>(text, source, limits);
}

json parse_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, {"", limits.max_bytes, limits.exit}), path.string(), limits);
}

JsonView::JsonView(const json& value, std::string source, Exit exit)
    : JsonView(value, std::move(source), "", exit) {}

JsonView::JsonView(const json& value, std::string source, std::string path, Exit exit)
    : value_(&value), source_(std::move(source)), path_(std::move(path)), exit_(exit) {}

void JsonView::fail(std::string_view problem) const {
  llm::fail(exit_, fmt::format("{}: {}{}{}", source_, path_, path_.empty() ? "" : " ", problem));
}

bool JsonView::has(std::string_view key) const {
  const auto member = value_->is_object() ? value_->find(key) : value_->end();
  return member != value_->end() && !member->is_null();
}

JsonView JsonView::at(std::string_view key) const {
  expect_object();
  const auto member = value_->find(key);
  if (member == value_->end()) {
    llm::fail(exit_, fmt::format("{}: {} is missing", source_, child_path(path_, key)));
  }
  return JsonView(*member, source_, child_path(path_, key), exit_);
}

std::optional<JsonView> JsonView::find(std::string_view key) const {
  return has(key) ? std::optional<JsonView>(at(key)) : std::nullopt;
}

size_t JsonView::size() const {
  expect_array();
  return value_->size();
}

JsonView JsonView::element(size_t index) const {
  expect_array();
  if (index >= value_->size()) {
    fail(fmt::format("has {} elements, element {} is wanted", value_->size(), index));
  }
  return JsonView((*value_)[index], source_, fmt::format("{}[{}]", path_, index), exit_);
}

std::vector<std::string> JsonView::keys() const {
  expect_object();
  std::vector<std::string> names;
  for (const auto& [name, member] : value_->items()) {
    names.push_back(name);
  }
  return names;
}

void JsonView::expect_object() const {
  if (!value_->is_object()) {
    fail("must be an object");
  }
}

void JsonView::expect_array() const {
  if (!value_->is_array()) {
    fail("must be an array");
  }
}

void JsonView::expect_keys(const std::vector<std::string>& known) const {
  for (const std::string& name : keys()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      llm::fail(exit_, fmt::format("{}: unknown key '{}'", source_, child_path(path_, name)),
                nearest_name_hint(name, known));
    }
  }
}

int64_t JsonView::as_int(int64_t lo, int64_t hi) const {
  const bool fits =
      value_->is_number_integer() &&
      !(value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  const int64_t number = fits ? value_->get<int64_t>() : 0;
  if (!fits || number < lo || number > hi) {
    fail(fmt::format("must be a whole number from {} to {}", lo, hi));
  }
  return number;
}

double JsonView::as_double(double lo, double hi) const {
  const double number = value_->is_number() ? value_->get<double>() : NAN;
  if (!(number >= lo && number <= hi)) {
    fail(fmt::format("must be a number from {} to {}", lo, hi));
  }
  return number;
}

std::string JsonView::as_string() const {
  if (!value_->is_string()) {
    fail("must be text");
  }
  return value_->get<std::string>();
}

bool JsonView::as_bool() const {
  if (!value_->is_boolean()) {
    fail("must be true or false");
  }
  return value_->get<bool>();
}

int64_t JsonView::get_int(std::string_view key, int64_t lo, int64_t hi, int64_t absent) const {
  return has(key) ? at(key).as_int(lo, hi) : absent;
}

double JsonView::get_double(std::string_view key, double lo, double hi, double absent) const {
  return has(key) ? at(key).as_double(lo, hi) : absent;
}

std::string JsonView::get_string(std::string_view key, std::string_view absent) const {
  return has(key) ? at(key).as_string() : std::string(absent);
}

bool JsonView::get_bool(std::string_view key, bool absent) const {
  return has(key) ? at(key).as_bool() : absent;
}

std::string dump_json(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

}  // namespace llm
