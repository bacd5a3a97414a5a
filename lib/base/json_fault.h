// Reading JSON from strangers where the reader words its own messages: the document, or what is
// wrong as a value.
//
// The rules are those of json_reader.h: bounded nesting, no key twice, valid UTF-8. A byte order
// mark is refused. A number too large for a double (1e400) becomes the same sign's 1e308, so that
// the range of its field refuses it by name; a document with one costs a second pass. Thread-safe:
// no state.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace llm {

struct JsonFault {
  enum class Kind {
    syntax,
    unexpected_end,
    byte_order_mark,
    utf8,
    depth,      // nested deeper than the limit
    duplicate,  // key
    members,    // an object has more than the limit
  };
  Kind kind = Kind::syntax;
  size_t byte = 0;  // from 0; of duplicate and members: where the key begins
  std::string key;
};

struct JsonCaps {
  int max_depth = 64;
  size_t max_members = 10'000;  // of one object
};

/// Nothing wrong: `document` holds the value.
std::optional<JsonFault> read_json(std::string_view text, nlohmann::json& document,
                                   const JsonCaps& caps = {});

}  // namespace llm
