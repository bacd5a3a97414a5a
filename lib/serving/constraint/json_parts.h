// The pieces that JSON texts are made of, for the grammars of schemas.
//
// Strings are UTF-8 with JSON's escapes, surrogates only in pairs. Whole numbers have at most 18
// digits; other numbers at most 18 before and after the point and a two-digit exponent, so that
// they are finite doubles. No white space but what `JsonSpacing` allows after ',' and ':'. Not
// thread-safe.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/constraint/grammar_builder.h"

namespace llm {

enum class JsonSpacing {
  compact,  // {"a":1,"b":2}
  spaced,   // {"a": 1, "b": 2}, as Python's json.dumps writes it
  either,   // at each place either way
};

namespace constraint {

class JsonParts {
 public:
  JsonParts(GrammarBuilder& builder, JsonSpacing spacing);

  Expr comma() const { return comma_; }
  Expr colon() const { return colon_; }
  /// One character of a string, any way JSON may spell it.
  Expr string_character();
  /// One character of the set, spelled in one way: raw, or escaped where it must be.
  Expr spelled(const CodeSet& set);
  /// A string of min .. max characters.
  Expr string(uint32_t min, uint32_t max);
  /// Quotes around what spells the characters.
  Expr quoted(Expr characters);
  /// This value and no other.
  Expr value(const nlohmann::ordered_json& value);
  /// A key that needs no escapes and is none of these.
  Expr other_key(const std::vector<std::string>& names);
  Expr any_value();
  Expr any_object();
  Expr any_array();
  Expr any_number();
  Expr any_integer();
  /// `item` between commas, min .. max times, without brackets.
  Expr list(Expr item, uint32_t min, uint32_t max);

 private:
  void define_any_value();

  GrammarBuilder& builder_;
  JsonSpacing spacing_;
  Expr comma_, colon_;
  std::optional<Expr> character_, string_, value_, object_, array_, number_, integer_;
};

}  // namespace constraint
}  // namespace llm
