// A strict JSON parser (RFC 8259) for rows: one pass, members in the order of the text, errors by
// column.
//
// It exists beside base/json_reader.h because a row's complaint names a column and the keys in
// their order, and because rows are the bulk of a corpus. Refused, with the 1-based column of the
// offending token: anything outside the grammar, invalid UTF-8, lone surrogates, nesting over 64, a
// key given twice in one object. Pure; thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

struct JsonMember;

struct JsonValue {
  enum class Kind { null, boolean, number, string, array, object };
  Kind kind = Kind::null;
  std::string text;  // string: its characters; number and boolean: as written
  std::vector<JsonValue> elements;
  std::vector<JsonMember> members;

  /// The member, or null if it is absent, null, or this is no object.
  const JsonValue* find(std::string_view key) const;
  const char* kind_name() const;
};

struct JsonMember {
  std::string name;
  JsonValue value;
};

/// Error (exit 3) "<place>: invalid JSON at column N", "<place>: invalid UTF-8 at byte N" (from 0),
/// "<place>: nesting deeper than 64", "<place>: key 'a' appears twice".
JsonValue scan_json(std::string_view text, std::string_view place);

}  // namespace llm
