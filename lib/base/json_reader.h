// JSON from strangers: bounded, without duplicate keys, and read through getters that never convert
// silently.
//
// nlohmann's own getters turn 4294967297 into 1, 1.9 into 1 and -1 into 2^64-1; these throw
// instead. Messages name the source and the path of the value: "state.json: rng.seed must be a
// whole number from 0 to 100". Errors carry the exit code given at parse time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace llm {

struct JsonLimits {
  int max_depth = 64;
  uint64_t max_bytes = uint64_t{256} << 20;
  Exit exit = Exit::bad_input;
};

/// Throws "<source>: invalid JSON at line L column C", "<source>: invalid UTF-8 at byte N",
/// "<source>: nesting deeper than 64", "<source>: key 'a' appears twice".
nlohmann::json parse_json(std::string_view text, std::string_view source,
                          const JsonLimits& limits = {});

/// The same with the members of objects in the order of the text.
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view source,
                                          const JsonLimits& limits = {});

/// Reads and parses a file; "cannot open 'x': <errno>".
nlohmann::json parse_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

/// A value with its path, for messages. Holds a reference: the document must outlive it. Cheap to
/// copy.
class JsonView {
 public:
  JsonView(const nlohmann::json& value, std::string source, Exit exit = Exit::bad_input);

  const nlohmann::json& value() const { return *value_; }
  const std::string& path() const { return path_; }  // "layers[3].name", "" at the top

  bool has(std::string_view key) const;     // present and not null
  JsonView at(std::string_view key) const;  // required member of an object
  std::optional<JsonView> find(std::string_view key) const;
  size_t size() const;  // of an array
  JsonView element(size_t index) const;
  std::vector<std::string> keys() const;  // of an object
  void expect_object() const;
  void expect_array() const;
  /// Every key must be one of these: "unknown key 'x'", with the nearest as hint.
  void expect_keys(const std::vector<std::string>& known) const;

  // This value itself.
  int64_t as_int(int64_t lo, int64_t hi) const;
  double as_double(double lo, double hi) const;
  std::string as_string() const;
  bool as_bool() const;

  // A member: required, or with a default for an absent or null one.
  int64_t get_int(std::string_view key, int64_t lo, int64_t hi) const {
    return at(key).as_int(lo, hi);
  }
  int64_t get_int(std::string_view key, int64_t lo, int64_t hi, int64_t absent) const;
  double get_double(std::string_view key, double lo, double hi) const {
    return at(key).as_double(lo, hi);
  }
  double get_double(std::string_view key, double lo, double hi, double absent) const;
  std::string get_string(std::string_view key) const { return at(key).as_string(); }
  std::string get_string(std::string_view key, std::string_view absent) const;
  bool get_bool(std::string_view key) const { return at(key).as_bool(); }
  bool get_bool(std::string_view key, bool absent) const;

  [[noreturn]] void fail(std::string_view problem) const;  // "<source>: <path> <problem>"

 private:
  JsonView(const nlohmann::json& value, std::string source, std::string path, Exit exit);
  const nlohmann::json* value_;
  std::string source_;
  std::string path_;
  Exit exit_;
};

/// dump() that cannot throw: invalid UTF-8 becomes U+FFFD. indent -1 = one line.
std::string dump_json(const nlohmann::json& value, int indent = -1);

}  // namespace llm
