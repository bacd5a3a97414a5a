// JSON schemas as grammars: what a structured answer may look like.
//
// The output is JSON that validates: keys in the order of the schema, required ones always, others
// where the model likes; nothing that the schema does not name unless additionalProperties says so.
// docs/constraints.md lists the keywords. A keyword that cannot be kept is refused, never ignored;
// only annotations (title, description, default, examples, $comment ...) are. $ref may recur
// through objects and arrays.
//
// Throws Error(Exit::usage), its message ends in the place: "'multipleOf' is not supported
// (properties.price)", "$ref cycles are not supported (properties.a)"; the code of such an HTTP
// answer is `unsupported_schema`. Pure functions.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "serving/constraint/grammar.h"
#include "serving/constraint/grammar_builder.h"
#include "serving/constraint/json_parts.h"

namespace llm {

/// `schema` keeps its members' order. A text that matches is one JSON value, no space around it.
std::shared_ptr<const Grammar> schema_grammar(const nlohmann::ordered_json& schema,
                                              JsonSpacing spacing = JsonSpacing::compact,
                                              const GrammarLimits& limits = {});

/// Any JSON object: response_format json_object.
std::shared_ptr<const Grammar> json_object_grammar(JsonSpacing spacing = JsonSpacing::compact,
                                                   const GrammarLimits& limits = {});

namespace constraint {

/// A schema as a part of a larger grammar. `place` begins the places in messages ("" = none).
Expr schema_part(GrammarBuilder& builder, JsonParts& json, const nlohmann::ordered_json& schema,
                 const std::string& place);

}  // namespace constraint
}  // namespace llm
