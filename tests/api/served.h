// A server on a free port with a model that is a pure function of its tokens, and what to ask it.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "serving/http/api/api_server.h"
#include "serving/sampler.h"
#include "tests/api/letter_tokenizer.h"
#include "tests/http/raw_client.h"
#include "tests/serving/counting_model.h"
#include "tests/support/temporary_folder.h"

namespace llm::test {

using Json = nlohmann::ordered_json;

/// A body with members changed or added.
inline Json with(Json body, const Json& more) {
  body.update(more);
  return body;
}

inline constexpr int64_t kContext = 256;

/// Letters and spaces mostly, so that texts can be looked at; never the end by itself.
inline CountingModel letter_model() {
  CountingModel model(LetterTokenizer::kVocab, kContext);
  const auto any = model.write;
  model.write = [any](const std::vector<int32_t>& ids, std::span<float> logits) {
    any(ids, logits);
    for (size_t id = 0; id < logits.size(); ++id) {
      const int byte = static_cast<int>(id) - LetterTokenizer::kFirstByte;
      const bool letter = (byte >= 'a' && byte <= 'z') || byte == ' ';
      if (!letter) logits[id] -= 20;
    }
  };
  return model;
}

struct Served {
  explicit Served(
      api::ApiServerOptions options = {},
      const std::function<void(api::ServedModelOptions&, EngineOptions&)>& change = [](auto&,
                                                                                       auto&) {}) {
    folder.write("chat_template.jinja",
                 "{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"
                 "{% if add_generation_prompt %}[assistant]{% endif %}");
    folder.write("tokenizer_config.json", "{}");
    api::ServedModelOptions model_options;
    model_options.name = "letters";
    model_options.directory = folder.path();
    model_options.defaults.eos_token_id = {2};
    EngineOptions engine;
    engine.kv.max_blocks = 400;
    change(model_options, engine);
    served = std::make_unique<api::ServedModel>(model, tokenizer, model_options, engine);
    options.port = 0;
    server = std::make_unique<api::ApiServer>(*served, options);
  }

  http::RawAnswer ask(const std::string& method, const std::string& path, const std::string& body,
                      const std::string& headers = "") const {
    http::RawClient client(server->port());
    client.send(method + " " + path +
                " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + headers +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.read_answer(20);
  }
  Json post(const std::string& path, const Json& body, int status = 200) const {
    const http::RawAnswer answer = ask("POST", path, body.dump());
    if (answer.status != status)
      throw std::runtime_error(path + ": " + std::to_string(answer.status) + " " + answer.body);
    return Json::parse(answer.body);
  }
  Json get(const std::string& path) const { return Json::parse(ask("GET", path, "").body); }
  /// The data of all events but [DONE], which must be the last.
  std::vector<Json> events(const std::string& path, const Json& body) const {
    std::string text = ask("POST", path, body.dump()).body;
    const std::string end = "data: [DONE]\n\n";
    if (!text.ends_with(end)) throw std::runtime_error("no [DONE]: " + text);
    text.resize(text.size() - end.size());
    std::vector<Json> all;
    for (size_t at = 0; at < text.size();) {
      const size_t stop = text.find("\n\n", at);
      const std::string event = text.substr(at, stop - at);
      if (event.starts_with("data: ")) all.push_back(Json::parse(event.substr(6)));
      at = stop + 2;
    }
    return all;
  }

  TemporaryFolder folder;
  CountingModel model = letter_model();
  LetterTokenizer tokenizer;
  std::unique_ptr<api::ServedModel> served;
  std::unique_ptr<api::ApiServer> server;
};

/// Every row of logits takes this long, so that there is time to see what goes on.
inline void write_slowly(const Served& api, std::chrono::milliseconds each) {
  auto& write = const_cast<CountingModel&>(api.model).write;
  write = [each, quick = write](const auto& ids, auto logits) {
    std::this_thread::sleep_for(each);
    quick(ids, logits);
  };
}

/// Sends a body and waits for nothing.
inline void send_body(http::RawClient& client, const std::string& path, const Json& body) {
  const std::string text = body.dump();
  client.send("POST " + path +
              " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
              std::to_string(text.size()) + "\r\n\r\n" + text);
}

/// True as soon as it holds, false after ten seconds.
inline bool soon(const std::function<bool()>& holds) {
  for (int i = 0; i < 10'000 && !holds(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return holds();
}

/// The most probable text of `length` tokens after `prompt`, by the model itself.
inline std::string greedy_text(const CountingModel& model, std::vector<int32_t> ids, int length) {
  std::string text;
  std::vector<float> logits(static_cast<size_t>(model.vocab_size()));
  for (int i = 0; i < length; ++i) {
    model.write(ids, logits);
    ids.push_back(argmax(logits));
    text += LetterTokenizer().token_bytes(ids.back());
  }
  return text;
}

}  // namespace llm::test
