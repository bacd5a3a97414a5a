// Schemas and grammars meant to do harm are refused or bounded: a second of processor time, 200 MB.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <ctime>
#include <functional>

#include "base/error.h"
#include "tests/constraint/grammar_support.h"
#include "tests/support/sanitized.h"

namespace llm {
namespace {

using nlohmann::ordered_json;

constexpr double kMostSeconds = test::kSanitized ? 10 : 1;
constexpr long kMostKilobytes = test::kSanitized ? 4'000'000 : 200'000;

long peak_kilobytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// Runs it; "" or the message of the error.
std::string outcome_of(const std::function<void()>& action, const std::string& name) {
  const long memory = peak_kilobytes();
  const std::clock_t start = std::clock();
  std::string message;
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage) << name;
    message = error.message();
  }
  EXPECT_LT(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, kMostSeconds) << name;
  EXPECT_LT(peak_kilobytes() - memory, kMostKilobytes) << name;
  return message;
}

/// Compiles, and follows a text as far as it fits with a mask at every tenth byte.
void use(const SharedGrammar& grammar, std::string_view text) {
  Constraint constraint(with_bytes(grammar));
  constraint.mask();
  for (size_t i = 0; i < text.size() && constraint.accept_bytes(text.substr(i, 1)); ++i) {
    if (i % 10 == 0) constraint.mask();
  }
}

std::string outcome_of_schema(const ordered_json& schema, const std::string& text,
                              const std::string& name) {
  return outcome_of([&] { use(schema_grammar(schema), text); }, name);
}

ordered_json nested(const char* keyword, int depth) {
  ordered_json schema = {{"type", "string"}};
  for (int i = 0; i < depth; ++i) {
    ordered_json outer;
    if (std::string_view(keyword) == "properties") {
      outer["properties"]["a"] = std::move(schema);
    } else if (std::string_view(keyword) == "items") {
      outer["items"] = std::move(schema);
    } else {
      outer[keyword] = ordered_json::array();
      outer[keyword].push_back(std::move(schema));
    }
    schema = std::move(outer);
  }
  return schema;
}

TEST(Hostile, DeepSchemasAreRefused) {
  for (const char* keyword : {"properties", "items", "anyOf", "allOf", "prefixItems"}) {
    const ordered_json schema = nested(keyword, 10'000);
    EXPECT_NE(outcome_of_schema(schema, "", keyword).find("nesting deeper than 64"),
              std::string::npos);
  }
}

TEST(Hostile, ADeepConstantIsRefused) {
  ordered_json value = 1;
  for (int i = 0; i < 10'000; ++i) {
    ordered_json outer = ordered_json::array();
    outer.push_back(std::move(value));
    value = std::move(outer);
  }
  ordered_json schema;
  schema["const"] = std::move(value);
  EXPECT_EQ(outcome_of_schema(schema, "", "const"),
            "a value nested deeper than 64 (the top level)");
}

ordered_json with_properties(int count, const std::string& prefix) {
  auto object = ordered_json::object();
  auto& members = object.get_ref<ordered_json::object_t&>();
  for (int i = 0; i < count; ++i)
    members.push_back({prefix + std::to_string(i), {{"type", "null"}}});
  return {{"type", "object"}, {"properties", std::move(object)}};
}

TEST(Hostile, ManyPropertiesAreRefusedOrBounded) {
  EXPECT_EQ(outcome_of_schema(with_properties(100'000, "p"), "", "100,000 properties"),
            "more than 5000 properties (the top level)");
  EXPECT_EQ(outcome_of_schema(with_properties(5000, "p"), R"({"p17":null,"p4999":null})",
                              "5,000 optional properties"),
            "");
  ordered_json open = with_properties(5000, std::string(60, 'x'));
  open["additionalProperties"] = true;
  EXPECT_EQ(outcome_of_schema(open, R"({"xxxxxxxx":1,"y":2})", "5,000 names kept apart"), "");
}

TEST(Hostile, HugeEnumsAreRefusedOrBounded) {
  ordered_json values = ordered_json::array();
  for (int i = 0; i < 10'000; ++i)
    values.push_back(std::string(30, 'a' + i % 26) + std::to_string(i));
  EXPECT_EQ(outcome_of_schema({{"enum", values}}, "\"aaaaaaaaaaaaaaaaaa", "10,000 values"), "");
  for (int i = 0; i < 90'000; ++i) values.push_back(i);
  EXPECT_EQ(outcome_of_schema({{"enum", values}}, "", "100,000 values"),
            "more than 10000 values in 'enum' (the top level)");
  EXPECT_EQ(outcome_of_schema({{"const", std::string(2'000'000, 'a')}}, "", "2 MB constant"),
            "schema: more than 500000 steps");
}

TEST(Hostile, HugeCountsCostNothing) {
  const std::string list = "[1,2,3,4,5,6,7,8,9,10", text(200, 'a');
  EXPECT_EQ(outcome_of_schema({{"items", {{"type", "integer"}}}, {"maxItems", 1'000'000'000}}, list,
                              "maxItems"),
            "");
  EXPECT_EQ(outcome_of_schema({{"items", {{"type", "integer"}}}, {"minItems", 1'000'000'000}}, list,
                              "minItems"),
            "");
  EXPECT_EQ(outcome_of_schema({{"maxLength", 1'000'000'000}}, "\"" + text, "maxLength"), "");
  EXPECT_EQ(outcome_of_schema({{"maxLength", 1e300}}, "\"" + text, "maxLength 1e300"), "");
  EXPECT_EQ(outcome_of_schema({{"minItems", 1e300}}, "", "minItems 1e300"),
            "'minItems' must be at most 1000000000 (the top level)");
  ordered_json nested_counts = {{"type", "null"}};
  for (int i = 0; i < 20; ++i) {
    nested_counts = {{"items", nested_counts}, {"minItems", 1000}, {"maxItems", 1'000'000}};
  }
  EXPECT_EQ(outcome_of_schema(nested_counts, "[[[[[[[[[[", "nested counts"), "");
}

TEST(Hostile, PatternBombsAreBounded) {
  const std::string text = "\"" + std::string(150, 'a');
  for (const char* pattern :
       {"^(a{1000}){1000}$", "^((a{1000}){1000}){1000}$", "^(a*)*$", "^((a|a)*)*b$",
        "^(a?){1000}a{1000}$", "^(.*){1000}$", "^((a{0,1000}){0,1000}b?){0,1000}$", "^(a+a+)+b$",
        "^(a|aa|aaa){1000}$", "^(a|b|ab){0,1000000000}$", "(a+){3}(a*){50}",
        "^(((a?){10}){10}){10}$", "^(a{1,999}b?){1,999}(a{2,999}b?){3,999}$",
        "^((a|b){2,7}c?){5,900}$"}) {
    const std::string message = outcome_of_schema({{"pattern", pattern}}, text, pattern);
    EXPECT_TRUE(message.empty() || message.starts_with("grammar: ")) << pattern << ": " << message;
  }
  EXPECT_EQ(
      outcome_of_schema({{"pattern", std::string(10'000, '(') + "a" + std::string(10'000, ')')}},
                        "", "deep groups"),
      "pattern: nesting too deep at offset 256 (the top level)");
}

TEST(Hostile, ReferencesThatMultiplyAreBounded) {
  ordered_json definitions, merged;
  for (int i = 0; i < 100; ++i) {
    const std::string next = "#/$defs/d" + std::to_string(i + 1);
    definitions["d" + std::to_string(i)]["anyOf"] = {{{"$ref", next}}, {{"$ref", next}}};
    merged["d" + std::to_string(i)]["allOf"] = {{{"$ref", next}}, {{"$ref", next}}};
  }
  definitions["d100"] =
      merged["d100"] = {{"type", "object"}, {"properties", {{"a", {{"type", "null"}}}}}};
  EXPECT_EQ(
      outcome_of_schema({{"$ref", "#/$defs/d0"}, {"$defs", definitions}}, "{\"a\":null}", "anyOf"),
      "");
  const std::string message =
      outcome_of_schema({{"$ref", "#/$defs/d0"}, {"$defs", merged}}, "", "allOf");
  EXPECT_TRUE(message.starts_with("allOf nested too deep") ||
              message.starts_with("more than 20000 schemas"))
      << message;
  ordered_json chain;
  for (int i = 0; i < 5000; ++i) {
    chain["d" + std::to_string(i)]["$ref"] = "#/$defs/d" + std::to_string(i + 1);
  }
  EXPECT_TRUE(outcome_of_schema({{"$ref", "#/$defs/d0"}, {"$defs", chain}}, "", "chain")
                  .starts_with("too many $ref in a row"));
  ordered_json deep;
  for (int i = 0; i < 4000; ++i) {
    deep["d" + std::to_string(i)]["items"]["$ref"] = "#/$defs/d" + std::to_string(i + 1);
  }
  deep["d4000"]["type"] = "null";
  EXPECT_EQ(outcome_of_schema({{"$ref", "#/$defs/d0"}, {"$defs", deep}}, "[[[[[[[", "nested chain"),
            "");
}

TEST(Hostile, GrammarsOfManyRulesAreBounded) {
  std::string chain = "root ::= r0\n", wide = "root ::= r0";
  for (int i = 0; i < 90'000; ++i) {
    chain += fmt::format("r{} ::= \"a\" r{}\n", i, i + 1);
    if (i > 0) wide += fmt::format(" | r{}", i);
  }
  EXPECT_EQ(outcome_of([&] { use(parse_gbnf(chain + "r90000 ::= \"b\""), std::string(100, 'a')); },
                       "a chain of rules"),
            "");
  wide += '\n';
  for (int i = 0; i < 90'000; ++i) wide += fmt::format("r{} ::= \"a{}\"\n", i, i);
  EXPECT_EQ(outcome_of([&] { use(parse_gbnf(wide), "a1"); }, "a wide choice"),
            "grammar: more than 65536 live stacks at one place");
  std::string left = "root ::= r0\n";
  for (int i = 0; i < 50'000; ++i) left += fmt::format("r{} ::= r{} \"a\"\n", i, (i + 1) % 50'000);
  const std::string message = outcome_of([&] { parse_gbnf(left); }, "a long left recursion");
  EXPECT_TRUE(message.starts_with("grammar: rule 'r0' is left-recursive (r0 -> r1 -> ")) << message;
  EXPECT_LT(message.size(), 200u);
  EXPECT_EQ(outcome_of([&] { parse_gbnf("root ::= \"" + std::string(1'000'000, 'a') + "\""); },
                       "a long text"),
            "grammar: more than 500000 steps");
}

}  // namespace
}  // namespace llm
