// Builds a JSON document from a parser's events while it watches nesting and keys. Private to base:
// json_reader.h and json_fault.h are what others include.
#pragma once

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/json_fault.h"

namespace llm {

/// Builds the document while it watches depth and keys; what it refuses is kept for the caller, who
/// knows the source.
template <typename Json>
class GuardedBuilder : public Json::json_sax_t {
 public:
  GuardedBuilder(Json& root, const JsonCaps& caps) : root_(root), caps_(caps) {}

  /// What was refused. `byte` of a syntax fault counts from 1, as the parser does.
  const JsonFault& fault() const { return fault_; }
  bool number_too_large() const { return number_too_large_; }

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
    if (!keys_.back().insert(name).second) return refuse(JsonFault::Kind::duplicate, name);
    if (keys_.back().size() > caps_.max_members) return refuse(JsonFault::Kind::members);
    key_ = name;
    return true;
  }

  bool parse_error(size_t offset, const std::string&,
                   const typename Json::exception& error) override {
    fault_.byte = offset;
    constexpr int kNumberOverflow = 406;
    number_too_large_ = error.id == kNumberOverflow;
    return false;
  }

 private:
  bool refuse(JsonFault::Kind kind, std::string key = {}) {
    fault_ = {kind, 0, std::move(key)};
    return false;
  }

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
    if (static_cast<int>(levels_.size()) >= caps_.max_depth) {
      return refuse(JsonFault::Kind::depth);
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
  const JsonCaps caps_;
  std::vector<Json*> levels_;  // a container grows only while it is the last one, so the pointers
                               // above it stay good
  std::vector<std::unordered_set<std::string>> keys_;  // of each level
  std::string key_;
  JsonFault fault_;
  bool number_too_large_ = false;
};

inline size_t json_fault_byte(const JsonFault& fault, std::string_view text) {
  return std::min(fault.byte > 0 ? fault.byte - 1 : 0, text.size());
}

inline bool json_ends_at(std::string_view text, size_t byte) {
  return text.find_first_not_of(" \t\r\n", byte) == std::string_view::npos;
}

}  // namespace llm
