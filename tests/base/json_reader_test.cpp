#include "base/json_reader.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

void refuse(std::string_view text, const std::string& message) {
  expect_error([&] { parse_json(text, "x.json"); }, Exit::bad_input, "x.json: " + message);
}

TEST(Json, ParsesWhatIsValid) {
  const nlohmann::json value =
      parse_json(R"({"a": [1, -2, 3.5, true, null, "é"], "b": {"c": {}}})", "x.json");
  EXPECT_EQ(value["a"].size(), 6u);
  EXPECT_EQ(value["a"][1], -2);
  EXPECT_TRUE(value["b"]["c"].is_object());
}

TEST(Json, RefusesDepthDuplicatesAndNoise) {
  refuse(R"({"a": 1, "b": {"n": 1, "n": 2}})", "key 'n' appears twice");
  refuse(std::string(65, '['), "nesting deeper than 64");
  refuse(std::string(10000000, '['), "nesting deeper than 64");
  refuse("{\"prompt\":", "invalid JSON at line 1 column 11: unexpected end");
  refuse("", "invalid JSON at line 1 column 1: unexpected end");
  refuse("{\n  \"a\" 1}", "invalid JSON at line 2 column 7");
  refuse("{\"a\": NaN}", "invalid JSON at line 1 column 7");
  refuse("{\"a\": \"\xFF\"}", "invalid UTF-8 at byte 7");
  refuse("1 2", "invalid JSON at line 1 column 3");
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "x.json"));
}

TEST(Json, LimitsAndExitCodeAreTheCallers) {
  expect_error([] { parse_json("[1,2,3]", "body", {.max_bytes = 4, .exit = Exit::usage}); },
               Exit::usage, "body: larger than 4 bytes");
}

TEST(Json, GettersNeverConvert) {
  const nlohmann::json value = parse_json(
      R"({"big": 4294967297, "huge": 18446744073709551615, "half": 1.9, "yes": true, "neg": -1, "text": "8", "none": null,
    "list": [{"n": 5}]})",
      "s");
  const JsonView view(value, "state.json");
  EXPECT_EQ(view.get_int("big", 0, int64_t{1} << 40), 4294967297);
  EXPECT_EQ(view.get_int("absent", 0, 9, 7), 7);
  EXPECT_EQ(view.get_int("none", 0, 9, 7), 7);
  EXPECT_EQ(view.get_double("half", 0, 2), 1.9);
  EXPECT_EQ(view.get_double("neg", -5, 2), -1.0);
  EXPECT_EQ(view.get_string("text"), "8");
  EXPECT_TRUE(view.get_bool("yes"));
  EXPECT_EQ(view.at("list").element(0).get_int("n", 0, 9), 5);
  const auto refuse_get = [&](const std::function<void()>& get, const std::string& message) {
    expect_error(get, Exit::bad_input, "state.json: " + message);
  };
  refuse_get([&] { view.get_int("big", 0, 100); }, "big must be a whole number from 0 to 100");
  refuse_get([&] { view.get_int("huge", 0, 100); }, "huge must be a whole number from 0 to 100");
  refuse_get([&] { view.get_int("half", 0, 100); }, "half must be a whole number from 0 to 100");
  refuse_get([&] { view.get_int("yes", 0, 100); }, "yes must be a whole number from 0 to 100");
  refuse_get([&] { view.get_int("text", 0, 100); }, "text must be a whole number from 0 to 100");
  refuse_get([&] { view.get_int("none", 0, 100); }, "none must be a whole number from 0 to 100");
  refuse_get([&] { view.get_int("lost", 0, 100); }, "lost is missing");
  refuse_get([&] { view.get_double("text", 0, 1); }, "text must be a number from 0 to 1");
  refuse_get([&] { view.get_string("big"); }, "big must be text");
  refuse_get([&] { view.get_bool("neg"); }, "neg must be true or false");
  refuse_get([&] { view.at("list").element(0).get_int("n", 6, 9); },
             "list[0].n must be a whole number from 6 to 9");
  refuse_get([&] { view.at("list").element(1); }, "list has 1 elements, element 1 is wanted");
  refuse_get([&] { view.at("text").at("x"); }, "text must be an object");
}

TEST(Json, UnknownKeysComeWithTheNearest) {
  const nlohmann::json value = parse_json(R"({"lenght": 1})", "s");
  expect_error(
      [&] {
        JsonView(value, "m.json").expect_keys({"length", "sha256"});
      },
      Exit::bad_input, "m.json: unknown key 'lenght'", "did you mean 'length'?");
}

TEST(Json, FilesAreNamed) {
  const TemporaryFolder folder;
  const std::string name = folder.write("bad.json", "{").string();
  expect_error([&] { parse_json_file(name); }, Exit::bad_input,
               name + ": invalid JSON at line 1 column 2: unexpected end");
  expect_error([&] { parse_json_file(folder / "none"); }, Exit::bad_input,
               "cannot open '" + (folder / "none").string() + "': No such file or directory");
}

TEST(Json, DumpNeverThrows) {
  EXPECT_EQ(dump_json(nlohmann::json{{"a", "\xFF"}}), "{\"a\":\"\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace llm
