// Adapters over HTTP: chosen by model name, loaded and let go while the server runs.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "tests/api/served.h"
#include "tests/support/expect_error.h"

namespace llm::test {
namespace {

namespace fs = std::filesystem;

/// An adapter is a directory with a file "number" that says which CountingAdapter it is.
ModelAdapterPtr open_numbered(const fs::path& directory) {
  std::ifstream file(directory / "number");
  int32_t number = 0;
  if (!(file >> number))
    fail(Exit::bad_input, fmt::format("'{}' is no adapter", directory.string()));
  return std::make_shared<CountingAdapter>(number);
}

struct ServedAdapters {
  explicit ServedAdapters(bool loading = true, std::vector<std::string> keys = {}) {
    for (const auto& [name, number] : {std::pair("one", "1"), {"two", "2"}}) {
      fs::create_directories(folder / name);
      folder.write(std::string(name) + "/number", number);
    }
    api::ApiServerOptions options;
    options.keys = std::move(keys);
    served.emplace(options, [&](api::ServedModelOptions& model, EngineOptions&) {
      model.open_adapter = open_numbered;
      if (loading) model.adapter_folder = folder.path();
    });
    served->served->adapters().load("one", folder / "one");
  }
  std::string text(const std::string& model, const std::string& prompt = "once upon a time") const {
    const Json answer = served->post("/v1/completions", body(model, prompt));
    EXPECT_EQ(answer["model"], model);
    return answer["choices"][0]["text"];
  }
  static Json body(const std::string& model, const std::string& prompt) {
    return {{"model", model}, {"prompt", prompt}, {"temperature", 0}, {"max_tokens", 20}};
  }
  int status(const std::string& path, const Json& body, const std::string& headers = "") const {
    return served->ask("POST", path, body.dump(), headers).status;
  }
  TemporaryFolder folder;
  std::optional<Served> served;
};

TEST(Adapters, TheModelsNameChoosesOne) {
  const ServedAdapters api;
  EXPECT_NE(api.text("one"), api.text("letters"));
  const Json answer = Json::parse(
      api.served->ask("POST", "/v1/completions", ServedAdapters::body("three", "x").dump()).body);
  EXPECT_EQ(answer["error"]["message"], "model 'three' is not served; available: letters, one");
  EXPECT_EQ(answer["error"]["code"], "model_not_found");
  EXPECT_EQ(answer["error"]["param"], "model");
}

TEST(Adapters, EveryRouteThatWritesTakesOne) {
  const ServedAdapters api;
  const std::string wanted = api.text("one", "[user]hi\n[assistant]");
  const Json chat = api.served->post("/v1/chat/completions",
                                     {{"model", "one"},
                                      {"messages", {{{"role", "user"}, {"content", "hi"}}}},
                                      {"temperature", 0},
                                      {"max_tokens", 20}});
  EXPECT_EQ(chat["model"], "one");
  EXPECT_EQ(chat["choices"][0]["message"]["content"], wanted);
  for (const char* field : {"adapter", "model"}) {
    const Json generated = api.served->post("/generate", {{field, "one"},
                                                          {"prompt", "[user]hi\n[assistant]"},
                                                          {"temperature", 0},
                                                          {"max_tokens", 20}});
    EXPECT_EQ(generated["generated_text"], wanted) << field;
    EXPECT_EQ(generated["model"], "one");
  }
  EXPECT_EQ(api.status("/generate", {{"adapter", "five"}, {"prompt", "x"}}), 404);
  const Json next = api.served->post("/predict", {{"model", "one"}, {"text", "ab"}, {"top_k", 1}});
  EXPECT_EQ(next["model"], "one");
  EXPECT_EQ(next["predictions"][0]["token"], api.text("one", "ab").substr(0, 1));
  EXPECT_NE(next["predictions"][0]["token"], api.text("letters", "ab").substr(0, 1));
  EXPECT_EQ(api.status("/predict", {{"model", "five"}, {"text", "x"}}), 404);
  const auto events = api.served->events(
      "/v1/completions",
      with(ServedAdapters::body("one", "[user]hi\n[assistant]"), {{"stream", true}}));
  std::string streamed;
  for (const Json& event : events) {
    EXPECT_EQ(event["model"], "one");
    streamed += event["choices"][0]["text"].get<std::string>();
  }
  EXPECT_EQ(streamed, wanted);
}

TEST(Adapters, TheListOfModelsNamesThem) {
  const ServedAdapters api;
  const Json list = api.served->get("/v1/models");
  ASSERT_EQ(list["data"].size(), 2u);
  EXPECT_EQ(list["data"][0]["id"], "letters");
  EXPECT_FALSE(list["data"][0].contains("parent"));
  EXPECT_EQ(list["data"][1]["id"], "one");
  EXPECT_EQ(list["data"][1]["parent"], "letters");
  EXPECT_EQ(api.served->get("/v1/models/one"), list["data"][1]);
  EXPECT_EQ(api.served->ask("GET", "/v1/models/two", "").status, 404);
}

TEST(Adapters, ComeAndGoWhileTheServerRuns) {
  const ServedAdapters api;
  EXPECT_EQ(api.status("/v1/completions", ServedAdapters::body("extra", "x")), 404);
  const Json loaded =
      api.served->post("/v1/load_lora_adapter", {{"lora_name", "extra"}, {"lora_path", "two"}});
  EXPECT_EQ(loaded["status"], "success");
  const std::string first = api.text("extra");
  EXPECT_NE(first, api.text("one"));
  api.served->post("/v1/unload_lora_adapter", {{"lora_name", "extra"}});
  EXPECT_EQ(api.status("/v1/completions", ServedAdapters::body("extra", "once upon a time")), 404);
  // The name again for another adapter: nothing that was kept answers in its place.
  api.served->post("/v1/load_lora_adapter",
                   {{"lora_name", "extra"}, {"lora_path", (api.folder / "one").string()}});
  EXPECT_EQ(api.text("extra"), api.text("one"));
  EXPECT_NE(api.text("extra"), first);
}

TEST(Adapters, LoadingIsRefusedForAReason) {
  const ServedAdapters api;
  const auto refusal = [&](const Json& body, const char* path = "/v1/load_lora_adapter") {
    const http::RawAnswer answer = api.served->ask("POST", path, body.dump());
    const Json error = Json::parse(answer.body)["error"];
    return fmt::format("{} {}", answer.status, error["message"].get<std::string>());
  };
  const auto load = [&](const std::string& name, const std::string& path) {
    const Json body = {{"lora_name", name}, {"lora_path", path}};
    const Json error = api.served->post("/v1/load_lora_adapter", body, 400)["error"];
    EXPECT_EQ(error["param"], name == "x" ? "lora_path" : "lora_name");
    return refusal(body);
  };
  EXPECT_EQ(load("one", "two"), "400 adapter 'one' is loaded already");
  EXPECT_EQ(load("letters", "two"), "400 adapter 'letters': the model itself is called that");
  EXPECT_EQ(load("x", "three"), "400 there is no adapter at 'three'");
  EXPECT_EQ(load("x", "../"), "400 there is no adapter at '../'");
  EXPECT_EQ(load("x", "/etc"), "400 there is no adapter at '/etc'");
  EXPECT_EQ(load("x", "."), "400 '.' is no adapter");  // and not where the folder lies
  EXPECT_EQ(load("x", "two/.."), "400 'two/..' is no adapter");
  EXPECT_EQ(load("x", std::string("two\0/../..", 10)), "400 lora_path must not contain NUL");
  EXPECT_EQ(load("", "two"), "400 the name of an adapter has 1 to 256 printable characters");
  EXPECT_EQ(load("a\nb", "two"), "400 the name of an adapter has 1 to 256 printable characters");
  EXPECT_EQ(refusal({{"lora_path", "two"}}), "400 'lora_name' is required");
  EXPECT_EQ(refusal({{"lora_name", "x"}}), "400 'lora_path' is required");
  EXPECT_EQ(refusal({{"lora_name", "x"}}, "/v1/unload_lora_adapter"),
            "404 adapter 'x' is not loaded");
  const ServedAdapters closed(false);
  EXPECT_EQ(closed.status("/v1/load_lora_adapter", {{"lora_name", "x"}, {"lora_path", "two"}}),
            403);
  EXPECT_EQ(closed.status("/v1/unload_lora_adapter", {{"lora_name", "one"}}), 403);
  EXPECT_EQ(closed.text("one"), api.text("one"));
}

TEST(Adapters, LoadingAsksForAnAdminsKey) {
  const ServedAdapters api(true, {"writer:generate", "chief"});
  const Json body = {{"lora_name", "x"}, {"lora_path", "two"}};
  EXPECT_EQ(api.status("/v1/load_lora_adapter", body), 401);
  EXPECT_EQ(api.status("/v1/load_lora_adapter", body, "Authorization: Bearer writer\r\n"), 403);
  EXPECT_EQ(api.status("/v1/load_lora_adapter", body, "Authorization: Bearer chief\r\n"), 200);
}

TEST(Adapters, AreSixtyFourAtMost) {
  const TemporaryFolder folder;
  folder.write("number", "1");
  api::AdapterSet adapters("base", open_numbered, {});
  for (int i = 0; i < 64; ++i) adapters.load(fmt::format("a{}", i), folder.path());
  expect_error([&] { adapters.load("last", folder.path()); }, Exit::usage,
               "there are 64 adapters already, which is the most");
  expect_error([&] { api::AdapterSet("base", nullptr, {}).load("a", folder.path()); }, Exit::usage,
               "this model takes no adapters");
  expect_error([&] { api::AdapterSet("base", nullptr, folder / "none"); }, Exit::usage,
               fmt::format("--adapter-folder '{}' is not a directory", (folder / "none").string()));
}

}  // namespace
}  // namespace llm::test
