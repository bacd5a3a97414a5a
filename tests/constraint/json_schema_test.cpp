// Schemas as grammars: what is sampled validates, what is unsupported is refused by name.
#include "serving/constraint/json_schema.h"

#include <gtest/gtest.h>

#include "tests/constraint/grammar_support.h"
#include "tests/constraint/sample_schemas.h"
#include "tests/constraint/schema_validator.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

using nlohmann::ordered_json;

void expect_valid_samples(const SharedVocabulary& vocabulary, JsonSpacing spacing, uint64_t seed) {
  uint64_t nth = 0;
  for (const char* text : kSampleSchemas) {
    const ordered_json schema = ordered_json::parse(text);
    SchemaValidator validator(schema);
    const auto shared =
        std::make_shared<const TokenGrammar>(schema_grammar(schema, spacing), vocabulary);
    for (int sample = 0; sample < 20; ++sample) {
      Random random(mix64(seed + nth++));
      const std::string said = random_text(Constraint(shared), random);
      const ordered_json value = ordered_json::parse(said, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << text << "\n" << said;
      EXPECT_EQ(validator.problem(value), "") << text << "\n" << said;
    }
  }
}

TEST(JsonSchema, AThousandSamplesFromByteTokensParseAndValidate) {
  expect_valid_samples(byte_vocabulary(), JsonSpacing::compact, 1);
}

TEST(JsonSchema, AThousandSamplesFromARandomVocabularyParseAndValidate) {
  std::string text = R"({"name": "foo", "value":12.5,"next":null,"kind":"say"}],["x",true,false]-)";
  for (const char* schema : kSampleSchemas) text += schema;
  Random random(7);
  expect_valid_samples(cut_vocabulary(text, 500, random), JsonSpacing::either, 2);
}

TEST(JsonSchema, KeysKeepTheOrderOfTheSchemaAndOptionalOnesMayBeLeftOut) {
  const auto grammar = schema_of(R"({"type":"object","properties":{"b":{"type":"integer"},
      "a":{"type":"integer"},"c":{"type":"integer"}},"required":["a"]})");
  EXPECT_TRUE(matches(grammar, R"({"b":1,"a":2,"c":3})"));
  EXPECT_TRUE(matches(grammar, R"({"a":2})"));
  EXPECT_TRUE(matches(grammar, R"({"a":2,"c":3})"));
  EXPECT_TRUE(matches(grammar, R"({"b":1,"a":2})"));
  EXPECT_FALSE(matches(grammar, R"({"b":1,"c":3})"));
  EXPECT_FALSE(matches(grammar, R"({"a":2,"b":1})"));
  EXPECT_FALSE(matches(grammar, R"({"a":2,"a":2})"));
  EXPECT_FALSE(matches(grammar, R"({"a":2,"d":4})"));
  EXPECT_FALSE(matches(grammar, R"({"a":2,})"));
  EXPECT_FALSE(matches(grammar, R"({,"a":2})"));
  EXPECT_FALSE(matches(grammar, R"({})"));
}

TEST(JsonSchema, APropertyWithoutValuesIsLeftOut) {
  const auto grammar =
      schema_of(R"({"properties":{"a":false,"b":{"type":"integer"}},"required":["b"]})");
  EXPECT_TRUE(matches(grammar, R"({"b":1})"));
  EXPECT_FALSE(matches(grammar, R"({"a":1,"b":1})"));
}

TEST(JsonSchema, AdditionalPropertiesTakeNoDeclaredName) {
  const auto grammar = schema_of(R"({"type":"object","properties":{"ab":{"type":"null"},
      "abc":{"type":"null"}},"additionalProperties":{"type":"integer"}})");
  EXPECT_TRUE(matches(grammar, R"({"ab":null,"abc":null,"a":1,"abcd":2,"":3,"é":4})"));
  EXPECT_TRUE(matches(grammar, R"({"x":1})"));
  EXPECT_FALSE(matches(grammar, R"({"ab":1})"));
  EXPECT_FALSE(matches(grammar, R"({"x":1,"abc":2})"));
  EXPECT_FALSE(matches(grammar, R"({"\u0061b":1})"));
  EXPECT_FALSE(matches(grammar, R"({"x":null})"));
}

TEST(JsonSchema, SpacingIsAsAsked) {
  const char* schema = R"({"type":"object","properties":{"a":{"type":"array",
      "items":{"type":"integer"}}},"required":["a"]})";
  const char* compact = R"({"a":[1,2]})";
  const char* spaced = R"({"a": [1, 2]})";
  const char* mixed = R"({"a": [1,2]})";
  EXPECT_TRUE(matches(schema_of(schema), compact));
  EXPECT_FALSE(matches(schema_of(schema), spaced));
  EXPECT_FALSE(matches(schema_of(schema, JsonSpacing::spaced), compact));
  EXPECT_TRUE(matches(schema_of(schema, JsonSpacing::spaced), spaced));
  for (const char* text : {compact, spaced, mixed}) {
    EXPECT_TRUE(matches(schema_of(schema, JsonSpacing::either), text)) << text;
  }
}

TEST(JsonSchema, ConstantsAreSpelledWithTheSameSpacing) {
  const char* schema = R"({"const":{"a":[1,2]}})";
  EXPECT_TRUE(matches(schema_of(schema), R"({"a":[1,2]})"));
  EXPECT_TRUE(matches(schema_of(schema, JsonSpacing::spaced), R"({"a": [1, 2]})"));
  EXPECT_FALSE(matches(schema_of(schema, JsonSpacing::spaced), R"({"a":[1,2]})"));
}

TEST(JsonSchema, StringsCountCharactersNotBytesOrEscapes) {
  const auto grammar = schema_of(R"({"type":"string","minLength":2,"maxLength":3})");
  for (const char* text : {R"("ab")", R"("äöü")", R"("\ud83d\ude00x")", R"("😀😀😀")", R"("\n\"")"}) {
    EXPECT_TRUE(matches(grammar, text)) << text;
  }
  for (const char* text : {R"("a")", R"("abcd")", R"("\u0041")", R"("😀")", R"("\ud83dxx")",
                           R"("\udc00x")", "\"a\nb\"", "\"\xff\xfe\""}) {
    EXPECT_FALSE(matches(grammar, text)) << text;
  }
}

TEST(JsonSchema, JsonObjectModeTakesAnyObjectAndNothingElse) {
  const auto grammar = json_object_grammar();
  for (const char* text :
       {"{}", R"({"a":{"b":[[],{},"x",-0.5e+10,true,false,null]}})", R"({"":0})"}) {
    EXPECT_TRUE(matches(grammar, text)) << text;
  }
  for (const char* text :
       {"[]", "1", R"({"a"})", R"({"a":01})", R"({"a":.5})", R"({"a":1,})", "{} "}) {
    EXPECT_FALSE(matches(grammar, text)) << text;
  }
}

TEST(JsonSchema, WhatEndsMustEnd) {
  Constraint constraint(with_bytes(schema_of(R"({"type":"object","properties":{}})")));
  EXPECT_TRUE(constraint.accept_bytes("{"));
  EXPECT_FALSE(constraint.may_end());
  EXPECT_TRUE(constraint.accept_bytes("}"));
  EXPECT_TRUE(constraint.may_end());
  EXPECT_TRUE(constraint.must_end());
  EXPECT_EQ(constraint.mask()->allowed, 1u);
}

struct Refusal {
  const char* schema;
  const char* message;
};

constexpr Refusal kRefusals[] = {
    {R"({"properties":{"a":{"$ref":"#/properties/a"}}})",
     "$ref cycles are not supported (properties.a)"},
    {R"({"$ref":"#"})", "$ref cycles are not supported (the top level)"},
    {R"({"properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"anyOf":[{"type":"null"},
        {"$ref":"#/$defs/y"}]},"y":{"allOf":[{"$ref":"#/$defs/x"}]}}})",
     "$ref cycles are not supported ($defs.y.allOf[0])"},
    {R"({"properties":{"a":{"type":"number","multipleOf":2}}})",
     "'multipleOf' is not supported (properties.a)"},
    {R"({"items":{"uniqueItems":true}})", "'uniqueItems' is not supported (items)"},
    {R"({"not":{}})", "'not' is not supported (the top level)"},
    {R"({"anyOf":[{},{"patternProperties":{}}]})",
     "'patternProperties' is not supported (anyOf[1])"},
    {R"({"type":"strin"})", "\"strin\" is not a type (the top level)"},
    {R"({"type":[]})", "'type' is empty (the top level)"},
    {R"({"anyOf":[{}],"properties":{}})",
     "'properties' beside 'anyOf' is not supported (the top level)"},
    {R"({"$ref":"#/$defs/a","type":"string"})",
     "'type' beside '$ref' is not supported (the top level)"},
    {R"({"$ref":"other.json#/a"})",
     "$ref 'other.json#/a' does not point into this schema (the top level)"},
    {R"({"items":{"$ref":"#/$defs/a"}})", "$ref '#/$defs/a' points to nothing (items)"},
    {R"({"required":["x"],"additionalProperties":false})",
     "required 'x' is not in 'properties' (the top level)"},
    {R"({"type":"string","format":"ipv6"})", "format 'ipv6' is not supported (the top level)"},
    {R"({"properties":{"p":{"pattern":"(?=a)b"}}})",
     "pattern: look-around is not supported at offset 0 (properties.p)"},
    {R"({"pattern":"^(ab)+$","maxLength":3})",
     "minLength and maxLength beside a pattern that does not imply them are not supported (the top "
     "level)"},
    {R"({"minItems":3,"maxItems":2})", "an array of at least 3 and at most 2 (the top level)"},
    {R"({"minLength":-1})", "'minLength' must be a whole number from 0 (the top level)"},
    {R"({"minimum":"1"})", "'minimum' must be a number (the top level)"},
    {R"({"exclusiveMinimum":true})", "'exclusiveMinimum' must be a number (the top level)"},
    {R"({"type":"integer","minimum":3,"maximum":2})",
     "no number lies between the bounds (the top level)"},
    {R"({"type":"integer","enum":["a"]})",
     "no value of 'enum' or 'const' has the 'type' (the top level)"},
    {R"({"enum":[]})", "'enum' must hold at least one value (the top level)"},
    {R"({"enum":"a"})", "'enum' must be a list (the top level)"},
    {R"({"items":[{}]})", "a list in 'items' is not supported; use 'prefixItems' (the top level)"},
    {R"({"allOf":[{"type":"object"},{"type":"string"}]})",
     "allOf is supported for object schemas only (allOf[1])"},
    {R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]})",
     "'additionalProperties': false in allOf forbids 'b' (allOf[0])"},
    {R"([1])", "a schema must be an object, true or false (the top level)"},
    {R"(false)", "false allows no value (the top level)"},
    {R"({"properties":{"a":false},"required":["a"]})", "false allows no value (properties.a)"},
    {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})",
     "schema: nothing can match rule 'the schema'"},
};

TEST(JsonSchema, WhatIsNotSupportedIsRefusedByNameAndPlace) {
  for (const Refusal& refusal : kRefusals) {
    expect_error([&] { schema_of(refusal.schema); }, Exit::usage, refusal.message);
  }
}

TEST(JsonSchema, AnnotationsSayNothing) {
  const auto grammar = schema_of(R"({"title":"t","description":"d","default":1,"examples":[2],
      "$schema":"s","$id":"i","$comment":"c","x-order":3,"type":"null"})");
  EXPECT_TRUE(matches(grammar, "null"));
  EXPECT_FALSE(matches(grammar, "1"));
}

TEST(JsonSchema, ReferencesMayRecurThroughObjectsAndArrays) {
  const auto grammar = schema_of(R"({"$ref":"#/$defs/a~1b","$defs":{"a/b":{"type":"array",
      "items":{"$ref":"#/$defs/a%2Fb"}}}})");
  EXPECT_TRUE(matches(grammar, "[[],[[]]]"));
  EXPECT_FALSE(matches(grammar, "[1]"));
}

TEST(JsonSchema, AllOfMergesPropertiesAndRequired) {
  const auto grammar = schema_of(R"({"type":"object","properties":{"a":{"type":"null"}},
      "allOf":[{"properties":{"b":{"type":"object","properties":{"x":{"type":"null"}}}},
                "required":["b"]},
               {"properties":{"b":{"type":"object","properties":{"y":{"type":"null"}},
                "required":["y"]}}}]})");
  EXPECT_TRUE(matches(grammar, R"({"b":{"y":null}})"));
  EXPECT_TRUE(matches(grammar, R"({"a":null,"b":{"x":null,"y":null}})"));
  EXPECT_FALSE(matches(grammar, R"({"b":{"x":null}})"));
  EXPECT_FALSE(matches(grammar, R"({"a":null})"));
}

}  // namespace
}  // namespace llm
