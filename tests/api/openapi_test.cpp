// What /openapi.json says is what the routes do: the fields of their bodies, the members of their
// answers.
#include "serving/http/api/openapi.h"

#include <gtest/gtest.h>

#include <set>

#include "serving/http/api/route_bodies.h"
#include "tests/api/served.h"

namespace llm::test {
namespace {

Served served_with_adapters() {
  return Served({}, [](api::ServedModelOptions& options, EngineOptions&) {
    options.open_adapter = [](const std::filesystem::path&) { return ModelAdapterPtr(); };
    options.adapter_folder = options.directory;
  });
}

const Json& body_schema(const Json& document, const std::string& path) {
  return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
}

/// A value that no row of this kind takes.
Json wrong_value(const http::Field& field) {
  using Kind = http::Field::Kind;
  if (field.kind == Kind::whole || field.kind == Kind::number) return "eight";
  if (field.kind == Kind::any) return {{"x", 1}};
  return 8.5;
}

Json smallest_body(const std::string& path) {
  const Json messages = Json::array({{{"role", "user"}, {"content", "a"}}});
  if (path == "/v1/chat/completions") return {{"messages", messages}, {"max_tokens", 1}};
  if (path == "/apply-template") return {{"messages", messages}};
  if (path == "/v1/completions" || path == "/generate") return {{"prompt", "a"}, {"max_tokens", 1}};
  if (path == "/v1/embeddings" || path == "/embed") return {{"input", "a"}};
  if (path == "/detokenize") return {{"tokens", {100}}};
  if (path == "/predict") return {{"text", "a"}};
  if (path == "/v1/load_lora_adapter") return {{"lora_name", "x"}, {"lora_path", "x"}};
  if (path == "/v1/unload_lora_adapter") return {{"lora_name", "x"}};
  return {{"prompt", "a"}};
}

bool is_of_type(const Json& value, const std::string& type) {
  if (type == "integer") return value.is_number_integer();
  return type == "number" ? value.is_number() : type == value.type_name();
}

/// "" or the first place where the value is not what the schema says. Members that it does not
/// name are wrong too.
std::string difference(const Json& schema, const Json& value, const std::string& place) {
  if (schema.contains("anyOf")) {
    std::string last;
    for (const Json& one : schema["anyOf"]) {
      last = difference(one, value, place);
      if (last.empty()) return last;
    }
    return last;
  }
  const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
  if (std::none_of(types.begin(), types.end(),
                   [&](const Json& type) { return is_of_type(value, type); }))
    return place + " is " + value.dump() + ", not " + types.dump();
  if (value.is_array() && schema.contains("items")) {
    for (const Json& one : value)
      if (auto found = difference(schema["items"], one, place + "[]"); !found.empty()) return found;
  }
  if (!value.is_object()) return "";
  for (const Json& name : schema.value("required", Json::array()))
    if (!value.contains(name.get<std::string>())) return place + " has no " + name.dump();
  for (const auto& [name, member] : value.items()) {
    const bool named = schema.contains("properties") && schema["properties"].contains(name);
    if (!named && !schema.contains("additionalProperties")) return place + "." + name + " is new";
    const Json& own = named ? schema["properties"][name] : schema["additionalProperties"];
    if (auto found = difference(own, member, place + "." + name); !found.empty()) return found;
  }
  return "";
}

TEST(OpenApi, NamesTheFieldsThatEachRouteReads) {
  const Served api = served_with_adapters();
  const Json document = api.get("/openapi.json");
  int routes = 0;
  for (const http::Route& route : api.server->routes()) {
    if (route.method != "POST") continue;
    ++routes;
    std::set<std::string> described, read;
    for (const auto& [name, schema] : body_schema(document, route.pattern)["properties"].items())
      described.insert(name);
    for (const http::Field& field : api::route_body(route.pattern).fields) read.insert(field.name);
    EXPECT_EQ(described, read) << route.pattern;
    EXPECT_FALSE(read.empty()) << route.pattern;
  }
  EXPECT_EQ(routes, 11);
}

TEST(OpenApi, EveryFieldThatIsDescribedIsRead) {
  const Served api = served_with_adapters();
  for (const http::Route& route : api.server->routes()) {
    if (route.method != "POST") continue;
    for (const http::Field& field : api::route_body(route.pattern).fields) {
      const std::string body =
          with(smallest_body(route.pattern), {{field.name, wrong_value(field)}}).dump();
      const http::RawAnswer answer = api.ask("POST", route.pattern, body);
      EXPECT_EQ(answer.status, 400) << route.pattern << " " << body;
      if (field.kind == http::Field::Kind::any) continue;
      EXPECT_EQ(Json::parse(answer.body)["error"]["param"], field.name) << route.pattern;
    }
  }
}

TEST(OpenApi, SaysWhatMustBeThere) {
  const Served api;
  const Json document = api.get("/openapi.json");
  const auto of = [&](const char* path) { return body_schema(document, path); };
  EXPECT_EQ(of("/v1/completions")["required"], Json({"prompt"}));
  EXPECT_EQ(of("/v1/load_lora_adapter")["required"], Json({"lora_name", "lora_path"}));
  EXPECT_EQ(of("/generate")["anyOf"],
            Json::parse(R"([{"required": ["prompt"]}, {"required": ["inputs"]}])"));
  EXPECT_EQ(of("/tokenize")["anyOf"].size(), 3u);
  EXPECT_EQ(of("/generate")["additionalProperties"], false);
  EXPECT_FALSE(of("/v1/completions").contains("additionalProperties"));
  EXPECT_EQ(of("/v1/completions")["properties"]["echo"],
            Json::parse(R"({"type": ["boolean", "null"]})"));
  EXPECT_EQ(of("/v1/completions")["properties"]["logprobs"]["maximum"], 5);
  EXPECT_EQ(of("/v1/chat/completions")["properties"]["top_logprobs"]["maximum"], 20);
  EXPECT_EQ(of("/v1/embeddings")["properties"]["encoding_format"],
            Json::parse(R"({"enum": ["float", "base64", null]})"));
  const Json config = of("/v1/completions")["properties"]["gen_config"];
  EXPECT_EQ(config["type"], Json({"object", "null"}));
  EXPECT_EQ(config["properties"]["top_p"],
            Json::parse(R"({"type": "number", "minimum": 0.0, "maximum": 1.0})"));
  EXPECT_EQ(config["properties"]["num_beams"], Json({{"type", "null"}}));
  EXPECT_EQ(of("/predict")["properties"]["text"], Json::parse(R"({"type": "string"})"));
}

TEST(OpenApi, EveryAnswerHasTheMembersThatAreDescribed) {
  const Served api;
  const Json document = api.get("/openapi.json");
  const auto check = [&](const std::string& method, const std::string& path, const Json& answer) {
    const Json& schema = document["paths"][path][method]["responses"]["200"]["content"]
                                 ["application/json"]["schema"];
    EXPECT_TRUE(schema.contains("properties") || schema.contains("items") ||
                schema.contains("anyOf"))
        << path;
    EXPECT_EQ(difference(schema, answer, path), "");
  };
  for (const http::Route& route : api.server->routes()) {
    const std::string& path = route.pattern;
    if (path == "/openapi.json" || path == "/metrics" || path.starts_with("/v1/status") ||
        path.ends_with("_lora_adapter"))
      continue;
    if (route.method == "GET") {
      check("get", path, api.get(path == "/v1/models/{model}" ? "/v1/models/letters" : path));
    } else {
      check("post", path, api.post(path, smallest_body(path)));
    }
  }
  check("post", "/v1/completions",
        api.post("/v1/completions",
                 {{"prompt", "ab"}, {"max_tokens", 2}, {"logprobs", 2}, {"echo", true}}));
  for (const Json& prompt : {Json("ab"), Json({"ab", "c"})})
    check("post", "/v1/completions",
          api.post("/v1/completions", {{"prompt", prompt}, {"gen_config", {{"max_tokens", 2}}}}));
  check("post", "/v1/chat/completions",
        api.post("/v1/chat/completions", with(smallest_body("/v1/chat/completions"),
                                              {{"logprobs", true}, {"top_logprobs", 2}})));
  check("post", "/generate", api.post("/generate", {{"inputs", "a"}, {"max_tokens", 2}}));
  check("post", "/v1/embeddings",
        api.post("/v1/embeddings", {{"input", "a"}, {"encoding_format", "base64"}}));
}

TEST(OpenApi, StreamsTextAndPagesHaveTheirMediaTypes) {
  const Served api;
  const Json document = api.get("/openapi.json");
  const auto types = [&](const char* method, const char* path) {
    std::vector<std::string> names;
    for (const auto& [name, schema] :
         document["paths"][path][method]["responses"]["200"]["content"].items())
      names.push_back(name);
    return names;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(types("post", "/generate"), (Names{"application/json", "text/event-stream"}));
  EXPECT_EQ(types("post", "/embed"), Names{"application/json"});
  EXPECT_EQ(types("get", "/metrics"), Names{"text/plain"});
  EXPECT_EQ(types("get", "/"), (Names{"application/json", "text/html"}));
}

TEST(OpenApi, GenerateTakesOneNameForItsPromptAndNotBoth) {
  const Served api;
  const http::RawAnswer answer =
      api.ask("POST", "/generate", R"({"prompt": "a", "inputs": "b", "max_tokens": 1})");
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(Json::parse(answer.body)["error"]["param"], "inputs");
  EXPECT_EQ(
      api.post("/generate",
               {{"prompt", nullptr}, {"inputs", "a"}, {"max_tokens", 1}})["usage"]["prompt_tokens"],
      1);
}

}  // namespace
}  // namespace llm::test
