#include "serving/http/api/api_server.h"

#include <gtest/gtest.h>

#include <cmath>
#include <future>

#include "base/error.h"
#include "gguf/gguf_writer.h"
#include "tests/api/served.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/tokenizer_parts.h"

namespace llm {
namespace {

using test::Json;
using test::LetterTokenizer;
using test::Served;

TEST(ApiServer, TellsOfItsModel) {
  const Served api;
  EXPECT_EQ(api.get("/health"),
            Json::parse(R"({"status":"ok","model_loaded":true,"device":"cpu"})"));
  EXPECT_EQ(api.get("/v1/models")["data"][0]["id"], "letters");
  EXPECT_EQ(api.get("/v1/models/letters")["max_model_len"], 256);
  EXPECT_EQ(api.ask("GET", "/v1/models/other", "").status, 404);
  EXPECT_EQ(api.get("/tokenizer_info")["eos_token"], "</s>");
  EXPECT_EQ(api.get("/model-info")["vocab_size"], 259);
}

TEST(ApiServer, TokenizesUnderBothNames) {
  const Served api;
  const auto ids = LetterTokenizer().encode("ab");
  EXPECT_EQ(api.post("/tokenize", {{"prompt", "ab"}})["tokens"], Json(ids));
  EXPECT_EQ(api.post("/tokenize", {{"content", "ab"}})["count"], 2);
  EXPECT_EQ(api.post("/detokenize", {{"tokens", ids}}),
            Json::parse(R"({"prompt":"ab","content":"ab"})"));
  EXPECT_EQ(api.post("/detokenize", {{"tokens", Json::array()}})["prompt"], "");
  EXPECT_EQ(
      api.post("/apply-template",
               {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})}})["prompt"],
      "[user]hi\n[assistant]");
  for (const char* tools : {"[5]", "{}", R"([{"type":"function"}])"}) {
    const Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})},
                       {"tools", Json::parse(tools)}};
    EXPECT_EQ(api.post("/apply-template", body, 400)["error"]["param"], "tools") << tools;
  }
}

TEST(ApiServer, TheTemplateOfAGgufFileIsReadFromIt) {
  TokenizerParts parts;
  parts.pieces = {{"<x>", 0, PieceType::control}, {"a"}};
  parts.eos_id = 0;
  const TemporaryFolder folder;
  const auto file = folder.write(
      "model.gguf", gguf_head_bytes(gguf_tokenizer_keys(
                        parts, 2, "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}")));
  const Served api({}, [&](auto& options, auto&) { options.directory = file; });
  EXPECT_EQ(
      api.post("/apply-template",
               {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})}})["prompt"],
      "<s>hi</s>");  // with the special tokens of the server's tokenizer
}

TEST(ApiServer, GenerateTakesItsAliasesAndRefusesUnknownFields) {
  const Served api;
  const Json base = {{"prompt", "ab"}, {"max_tokens", 5}, {"temperature", 0}};
  const Json answer = api.post("/generate", base);
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(answer["usage"]["completion_tokens"], 5);
  EXPECT_EQ(answer["generated_text"], answer["choices"][0]["text"]);
  for (const char* name : {"max_new_tokens", "max_length"}) {
    const Json other = {{"inputs", "ab"}, {name, 5}, {"temperature", 0}};
    EXPECT_EQ(api.post("/generate", other)["generated_text"], answer["generated_text"]);
  }
  Json unknown = base;
  unknown["tempreature"] = 1;
  const Json error = api.post("/generate", unknown, 400)["error"];
  EXPECT_EQ(error["param"], "tempreature");
  EXPECT_EQ(error["message"], "'tempreature' is not a field of /generate");
}

TEST(ApiServer, PredictGivesSharesOfTheFullSoftmax) {
  const Served api;
  const Json answer = api.post("/predict", {{"text", "ab"}, {"top_k", 4}});
  ASSERT_EQ(answer["predictions"].size(), 4u);
  std::vector<float> logits(LetterTokenizer::kVocab);
  api.model.write(LetterTokenizer().encode("ab"), logits);
  const Json& first = answer["predictions"][0];
  EXPECT_EQ(first["token_id"], argmax(logits));
  EXPECT_DOUBLE_EQ(first["probability"], std::exp(log_probability(logits, argmax(logits))));
}

TEST(ApiServer, EmbeddingsAreHiddenStatesOfLengthOne) {
  const Served api;
  const auto ids = LetterTokenizer().encode("ab");
  const std::vector<float> hidden = api.model.last_hidden_state(ids);
  EXPECT_EQ(api.post("/embed", {{"input", "ab"}})["embeddings"][0], Json(hidden));
  const Json answer = api.post("/v1/embeddings", {{"input", {"ab", "b"}}});
  ASSERT_EQ(answer["data"].size(), 2u);
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);
  double sum = 0;
  for (const double x : answer["data"][0]["embedding"]) sum += x * x;
  EXPECT_NEAR(sum, 1, 1e-6);
  const float length = std::sqrt(2 * 2 * 2 + static_cast<float>(ids[1] * ids[1]));
  EXPECT_FLOAT_EQ(answer["data"][0]["embedding"][0].get<float>(), 2 / length);
  // 1.0f 0 0 0 would be "AACAPwAA..."; a float's bytes, little endian.
  const std::string text = api.post(
      "/v1/embeddings", {{"input", "ab"}, {"encoding_format", "base64"}})["data"][0]["embedding"];
  EXPECT_EQ(text.size(), 24u);
  EXPECT_EQ(text.substr(22), "==");
  EXPECT_EQ(
      api.post("/v1/embeddings", {{"input", "ab"}, {"dimensions", 3}}, 400)["error"]["message"],
      "dimensions: this model's embeddings have 4");
}

TEST(ApiServer, PredictAsksNothingOfTheServersStopStrings) {
  const Served api({}, [](auto& options, auto&) {
    options.defaults.stop_strings = {"zzz"};
    options.defaults.min_new_tokens = 3;
  });
  EXPECT_EQ(api.post("/predict", {{"text", "ab"}})["predictions"],
            Served().post("/predict", {{"text", "ab"}})["predictions"]);
}

TEST(ApiServer, EveryRouteButHealthAsksForTheKey) {
  api::ApiServerOptions options;
  options.keys = {"secret-key"};
  const Served api(options);
  for (const http::Route& route : api.server->routes()) {
    std::string path = route.pattern;
    if (const size_t at = path.find("{model}"); at != std::string::npos)
      path.replace(at, 7, "letters");
    const bool open = path == "/health";
    EXPECT_EQ(api.ask(route.method, path, "{}").status == 401, !open) << path;
    EXPECT_NE(api.ask(route.method, path, "{}", "Authorization: bearer secret-key\r\n").status, 401)
        << path;
    if (!open) {
      EXPECT_EQ(api.ask(route.method, path, "{}", "Authorization: Bearer secret-ke\r\n").status,
                401);
    }
  }
  EXPECT_EQ(api.ask("GET", "/nothing", "").status, 401);
}

TEST(ApiServer, PagesWhoseNameLeadsHereGetNothingOfAServerWithoutAKey) {
  const auto status = [](const Served& api, const std::string& head) {
    return http::RawClient(api.server->port()).ask(head + "\r\n").status;
  };
  const Served api;
  const std::string evil = "Host: evil.example:" + std::to_string(api.server->port()) + "\r\n";
  for (const http::Route& route : api.server->routes()) {
    const std::string line = route.method + " " + route.pattern + " HTTP/1.1\r\n";
    EXPECT_EQ(status(api, line + evil + "Content-Length: 0\r\n"), 403) << line;
  }
  EXPECT_EQ(status(api, "GET / HTTP/1.1\r\nAccept: text/html\r\n" + evil), 403);
  EXPECT_EQ(status(api, "GET /nothing HTTP/1.1\r\n" + evil), 403);
  const http::RawAnswer refused =
      http::RawClient(api.server->port()).ask("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_EQ(Json::parse(refused.body)["error"],
            Json::parse(R"({"message": "Host: 'evil.example' is no name of this machine; without )"
                        R"(--api-key only localhost, 127.0.0.1 and [::1] are answered",
                            "type": "permission_error", "param": null,
                            "code": "host_not_allowed"})"));
  for (const char* host : {"localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.1.2.3", "[::1]:80"})
    EXPECT_EQ(status(api, std::string("GET /v1/models HTTP/1.1\r\nHost: ") + host + "\r\n"), 200)
        << host;
  EXPECT_EQ(status(api, "GET /v1/models HTTP/1.0\r\n"), 200);
  // Behind a key, or where others may ask, a server has whatever names it is given.
  api::ApiServerOptions with_key, for_all;
  with_key.keys = {"secret-key"};
  for_all.host = "0.0.0.0";
  for_all.insecure = true;
  const std::string models = "GET /v1/models HTTP/1.1\r\nHost: gateway.example\r\n";
  EXPECT_EQ(status(Served(with_key), models + "Authorization: Bearer secret-key\r\n"), 200);
  EXPECT_EQ(status(Served(for_all), models), 200);
}

TEST(ApiServer, BrowsersLoadThePageWithoutAKeyToTypeOne) {
  api::ApiServerOptions options;
  options.keys = {"secret-key"};
  const Served api(options);
  const auto page = api.ask("GET", "/", "", "Accept: text/html\r\n");
  EXPECT_EQ(page.status, 200);
  EXPECT_TRUE(page.body.starts_with("<!doctype html>"));
  EXPECT_EQ(page.body.find("\"version\""), std::string::npos);
  EXPECT_EQ(api.ask("GET", "/v1/models", "", "Accept: text/html\r\n").status, 401);
  EXPECT_EQ(api.ask("POST", "/", "{}", "Accept: text/html\r\n").status, 401);
  EXPECT_TRUE(api.get("/").contains("error"));
}

TEST(ApiServer, PagesOfListedOriginsMayReadEveryAnswer) {
  api::ApiServerOptions options;
  options.cors_origins = {"https://a.org"};
  options.keys = {"secret-key"};
  const Served api(options);
  const auto answer = [&](const char* method, const char* path, const std::string& body,
                          const std::string& headers) {
    return api.ask(method, path, body, "Authorization: Bearer secret-key\r\n" + headers);
  };
  const auto allowed = [](const http::RawAnswer& given) {
    return given.header("Access-Control-Allow-Origin");
  };
  const std::string here = "Origin: https://a.org\r\n", elsewhere = "Origin: https://b.org\r\n";
  for (const char* stream : {"true", "false"}) {
    const std::string body =
        std::string(R"({"prompt":"a","max_tokens":3,"stream":)") + stream + "}";
    EXPECT_EQ(allowed(answer("POST", "/v1/completions", body, here)), "https://a.org") << stream;
    const auto other = answer("POST", "/v1/completions", body, elsewhere);
    EXPECT_EQ(other.status, 200);
    EXPECT_EQ(allowed(other), "") << stream;
    EXPECT_EQ(other.header("Vary"), "Origin");
  }
  EXPECT_EQ(allowed(answer("POST", "/v1/completions", "{", here)), "https://a.org");
  EXPECT_EQ(allowed(answer("GET", "/nothing", "", here)), "https://a.org");
  const auto refused = api.ask("GET", "/v1/models", "", here);
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(allowed(refused), "https://a.org");
  const std::string wants =
      "Access-Control-Request-Method: POST\r\n"
      "Access-Control-Request-Headers: authorization,content-type\r\n";
  const auto before =
      api.ask("OPTIONS", "/v1/chat/completions", "", here + wants);  // without a key
  EXPECT_EQ(before.status, 204);
  EXPECT_EQ(allowed(before), "https://a.org");
  EXPECT_EQ(before.header("Access-Control-Allow-Methods"), "POST");
  EXPECT_EQ(before.header("Access-Control-Allow-Headers"), "authorization,content-type");
  EXPECT_EQ(before.header("Access-Control-Max-Age"), "3600");
  EXPECT_EQ(before.body, "");
  EXPECT_EQ(api.ask("OPTIONS", "/v1/nothing", "", here + wants).status, 401);
  EXPECT_EQ(answer("OPTIONS", "/v1/nothing", "", here + wants).status, 404);
  EXPECT_EQ(answer("OPTIONS", "/v1/chat/completions", "", elsewhere + wants).status, 405);
}

TEST(ApiServer, PagesOfOtherOriginsReadNothingByDefault) {
  const Served api;
  const auto answer = api.ask("GET", "/health", "", "Origin: https://a.org\r\n");
  EXPECT_EQ(answer.header("Access-Control-Allow-Origin"), "");
  EXPECT_EQ(answer.header("Vary"), "");
  EXPECT_EQ(api.ask("OPTIONS", "/health", "",
                    "Origin: https://a.org\r\nAccess-Control-Request-Method: GET\r\n")
                .status,
            405);
}

TEST(ApiServer, APublicAddressNeedsAKey) {
  api::ApiServerOptions options;
  options.host = "0.0.0.0";
  EXPECT_THROW(Served api(options), Error);
}

TEST(ApiServer, AFullQueueIs429WithRetryAfter) {
  const Served api({}, [](auto& model, auto& engine) {
    model.queue_size = 1;
    engine.max_batch_size = 1;
  });
  const auto gate = std::make_shared<std::atomic<bool>>(false);
  const auto write = api.model.write;
  const_cast<CountingModel&>(api.model).write = [=](const auto& ids, auto logits) {
    while (!gate->load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    write(ids, logits);
  };
  std::vector<std::thread> busy;
  std::atomic<int> answered{0};
  for (int i = 0; i < 2; ++i) {
    busy.emplace_back([&, i] {
      answered +=
          api.ask("POST", "/v1/completions",
                  Json{{"prompt", std::string(1, static_cast<char>('a' + i))}, {"max_tokens", 2}}
                      .dump())
              .status == 200;
    });
  }
  EXPECT_TRUE(test::soon([&] { return api.served->engine().open_requests() == 2; }));
  const auto refused = api.ask("POST", "/v1/completions", R"({"prompt":"c"})");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("Retry-After"), "2");
  EXPECT_EQ(Json::parse(refused.body)["error"]["message"], "queue is full (1); retry after 2 s");
  EXPECT_EQ(api.ask("GET", "/health", "").status, 200);  // not behind the others
  gate->store(true);
  for (std::thread& one : busy) one.join();
  EXPECT_EQ(answered, 2);
}

TEST(ApiServer, ManyClientsGetWhatEachWouldGetAlone) {
  const Served api;
  const auto body = [](int i) {
    return Json{{"prompt", std::string(static_cast<size_t>(1 + i), static_cast<char>('a' + i))},
                {"max_tokens", 20},
                {"temperature", i % 2},
                {"seed", i},
                {"logprobs", 0}};
  };
  std::vector<std::string> alone, together(12);
  for (int i = 0; i < 12; ++i)
    alone.push_back(api.post("/v1/completions", body(i))["choices"].dump());
  const Served crowd;
  std::vector<std::thread> clients;
  for (int i = 0; i < 12; ++i)
    clients.emplace_back([&, i] {
      together[static_cast<size_t>(i)] = crowd.post("/v1/completions", body(i))["choices"].dump();
    });
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(together, alone);
}

TEST(ApiServer, MetricsCountUnderAllNames) {
  const Served api;
  api.post("/v1/completions", {{"prompt", "abc"}, {"max_tokens", 7}});
  const std::string text = api.ask("GET", "/metrics", "").body;
  for (const char* line :
       {"vllm:prompt_tokens_total{model_name=\"letters\"} 3",
        "llm:generation_tokens_total{model_name=\"letters\"} 7",
        "llamacpp:tokens_predicted_total{model_name=\"letters\"} 7",
        "vllm:request_success_total{model_name=\"letters\",finished_reason=\"length\"} 1",
        "vllm:time_to_first_token_seconds_count{model_name=\"letters\"} 1",
        "vllm:inter_token_latency_seconds_count{model_name=\"letters\"} 6"})
    EXPECT_NE(text.find(std::string("\n") + line + "\n"), std::string::npos) << line << "\n"
                                                                             << text;
  EXPECT_EQ(api.get("/stats")["requests_processed"], 1);
}

TEST(ApiServer, IsUnhealthyWhileItsEngineHangs) {
  api::ApiServerOptions options;
  options.stall_timeout = std::chrono::milliseconds(50);
  Served api(options);
  std::promise<void> go;
  api.model.write = [gate = go.get_future().share(), quick = api.model.write](const auto& ids,
                                                                              auto logits) {
    gate.wait();
    quick(ids, logits);
  };
  EXPECT_EQ(api.ask("GET", "/health", "").status, 200);
  std::thread client([&] { api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 3}}); });
  EXPECT_TRUE(test::soon([&] { return api.ask("GET", "/health", "").status == 503; }));
  for (const char* path : {"/health", "/v1/health"}) {
    const http::RawAnswer answer = api.ask("GET", path, "");
    EXPECT_EQ(answer.status, 503) << path;
    EXPECT_EQ(Json::parse(answer.body)["status"], "unhealthy") << path;
    EXPECT_GT(Json::parse(answer.body)["stalled_seconds"], 0.05) << path;
  }
  EXPECT_EQ(api.get("/v1/health")["scheduler_running"], false);
  go.set_value();
  client.join();
  EXPECT_EQ(api.get("/health"),
            Json::parse(R"({"status":"ok","model_loaded":true,"device":"cpu"})"));
  EXPECT_EQ(api.get("/v1/health")["scheduler_running"], true);
}

TEST(ApiServer, AStallTimeoutOfZeroIsNone) {
  api::ApiServerOptions options;
  options.stall_timeout = std::chrono::milliseconds(0);
  Served api(options);
  test::write_slowly(api, std::chrono::milliseconds(30));
  std::thread client([&] { api.post("/v1/completions", {{"prompt", "a"}, {"max_tokens", 4}}); });
  EXPECT_TRUE(test::soon([&] { return api.served->engine().turn_age().count() > 0; }));
  EXPECT_EQ(api.ask("GET", "/health", "").status, 200);
  client.join();
}

TEST(ApiServer, DescribesEveryRoute) {
  const Served api;
  const Json document = api.get("/openapi.json");
  EXPECT_EQ(document["openapi"], "3.1.0");
  for (const http::Route& route : api.server->routes())
    EXPECT_TRUE(document["paths"].contains(route.pattern)) << route.pattern;
  EXPECT_EQ(document["paths"]["/v1/completions"]["post"]["requestBody"]["content"]
                    ["application/json"]["schema"]["properties"]["n"]["maximum"],
            16);
}

TEST(ApiServer, ThePageIsForBrowsersTheRestIsJson) {
  const Served api;
  EXPECT_EQ(api.get("/")["docs"], "/openapi.json");
  const auto page = api.ask("GET", "/", "", "Accept: text/html,application/xhtml+xml\r\n");
  EXPECT_EQ(page.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_TRUE(page.body.starts_with("<!doctype html>"));
  EXPECT_EQ(page.body.find("http://"), std::string::npos);  // nothing from elsewhere
  EXPECT_EQ(page.body.find("https://"), std::string::npos);
}

}  // namespace
}  // namespace llm
