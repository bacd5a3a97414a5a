#include "serving/http/api/api_server.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/api_server_state.h"
#include "serving/http/api/chat_completions.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/access_log.h"
#include "serving/http/gate.h"
#include "serving/http/json_body.h"

namespace llm::api {

using http::HttpError;
using http::ReplyPtr;
using http::Request;
using http::Scope;

namespace {

// Long bodies are read and tokenised one after the other; a short one beside them does not wait.
constexpr int kWorkers = 2;

/// Which browsers load without a key: it is where one types the key. What else is at "/" needs one.
bool asks_for_page(const http::Route& route, const Request& request) {
  return route.pattern == "/" && wants_html(request);
}

/// Of the engine; a server that ends takes no more of it.
bool asks_for_work(Scope scope) { return scope == Scope::generate || scope == Scope::embed; }

}  // namespace

void ApiServer::State::add_generation() {
  using Answer =
      void (*)(const ServedModel&, const AnswerOptions&, const Request&, const ReplyPtr&);
  const auto answering = [this](Answer answer) {
    return [this, answer](const Request& request, const ReplyPtr& reply) {
      // (An adapter that was loaded anew may answer otherwise.)
      const std::string key = ResponseCache::key_of(reply->client(), request.path, request.body) +
                              std::to_string(model.adapters().version());
      const auto ticket = statuses.begin(reply->client(), request.id);
      AnswerOptions own = options.answers;
      own.keep = [this, key, id = request.id](const std::string& whole) {
        cache.store(key, whole, id);
      };
      own.progress = [this, ticket](RequestStatus status, std::string_view message) {
        statuses.change(ticket, status, message);
      };
      try {
        http::refuse_other_media(request);  // (A body that was kept has been read once.)
        if (const auto kept = cache.find(key, request.id)) {
          own.progress(RequestStatus::completed, "complete");
          reply->send_json(200, *kept, {{"X-Cache", "hit"}});
          return;
        }
        answer(model, own, request, reply);
      } catch (...) {
        const HttpError error = http::error_of(std::current_exception(), request.path);
        own.progress(RequestStatus::failed, error.message());
        throw error;
      }
    };
  };
  add("POST", "/v1/completions", Scope::generate, "Text after a prompt",
      answering(answer_completions));
  add("POST", "/v1/chat/completions", Scope::generate, "The next message of a chat",
      answering(answer_chat));
  add("POST", "/generate", Scope::generate, "Text after a prompt, with timing",
      answering(answer_generate));
  add("POST", "/predict", Scope::generate, "The most probable next tokens",
      answering(answer_predict));
}

void ApiServer::State::add_tokens() {
  const auto with_model = [this](auto answer) {
    return [this, answer](const Request& request, const ReplyPtr& reply) {
      answer(model, request, reply);
    };
  };
  add("POST", "/v1/embeddings", Scope::embed, "Embeddings of texts, of length 1",
      with_model(answer_embeddings));
  add("POST", "/embed", Scope::embed, "Hidden states of texts", with_model(answer_embed));
  add("POST", "/tokenize", Scope::any_key, "Token ids of a text or chat",
      with_model(answer_tokenize));
  add("POST", "/detokenize", Scope::any_key, "The text of token ids",
      with_model(answer_detokenize));
  add("POST", "/apply-template", Scope::any_key, "A chat as the model's text",
      with_model(answer_apply_template));
  router.add({"GET", "/v1/models/{model}", Scope::any_key, with_model(answer_model), true,
              "One model", true});  // names have slashes: "org/model"
  add("POST", "/v1/load_lora_adapter", Scope::admin, "Serves one more adapter",
      with_model(answer_load_adapter));
  add("POST", "/v1/unload_lora_adapter", Scope::admin, "Serves an adapter no longer",
      with_model(answer_unload_adapter));
}

void ApiServer::State::add_model() {
  const auto telling = [this](void (*answer)(const ServedModel&, const ReplyPtr&)) {
    return [this, answer](const Request&, const ReplyPtr& reply) { answer(model, reply); };
  };
  add("GET", "/v1/models", Scope::any_key, "The models that are served", telling(answer_models),
      true);
  add("GET", "/model-info", Scope::any_key, "Size, format and context", telling(answer_model_info),
      true);
  add("GET", "/tokenizer_info", Scope::any_key, "Special tokens and chat template",
      telling(answer_tokenizer_info), true);
  add("GET", "/props", Scope::any_key, "Default settings", telling(answer_props), true);
}

ApiServer::ApiServer(ServedModel& model, ApiServerOptions options)
    : state_(std::make_unique<State>(model, std::move(options))) {
  State& state = *state_;
  http::refuse_public_bind(state.options.host, !state.keys.empty(), state.options.insecure);
  state.add_generation();
  state.add_tokens();
  state.add_model();
  state.add_status();
  const http::Router::Gate gate = http::make_gate(state.keys, state.rates);
  const bool local = state.keys.empty() && http::is_loopback(state.options.host);
  state.router.set_gate(
      [&state, gate, local](const http::Route* route, const Request& request, http::Reply& reply) {
        if (local) http::require_loopback_name(request);
        if (route != nullptr && asks_for_page(*route, request)) return;
        gate(route, request, reply);
        if (route != nullptr && asks_for_work(route->scope) && state.draining())
          throw HttpError(503, "unavailable", "server is shutting down");
      });
  state.router.set_preflight([&state](const Request& request, std::string_view methods) {
    return state.cors.preflight_headers(request, methods);
  });
  state.router.set_runner(
      [&state](std::function<void()> work) { state.server->post(std::move(work)); });
  http::ServerConfig config;
  config.host = state.options.host;
  config.port = state.options.port;
  config.io_threads = state.options.io_threads;
  config.worker_threads = kWorkers;
  config.limits = state.options.limits;
  config.handler = [&state](Request&& request, const ReplyPtr& reply) {
    if (!state.ready) {
      reply->send_error(HttpError(503, "unavailable", "the server is starting"));
      return;
    }
    state.router.handle(std::move(request), reply);
  };
  config.answer_headers = [&state](const Request& request) {
    return state.cors.answer_headers(request);
  };
  config.observer = [&state](const http::Exchange& exchange) {
    http::log_access(exchange);
    state.metrics.count_exchange(exchange);
  };
  state.server = std::make_unique<http::Server>(std::move(config));
  state.ready = true;
}

ApiServer::~ApiServer() { stop(); }

int ApiServer::port() const { return state_->server->port(); }
std::string ApiServer::url() const { return state_->server->url(); }
const std::vector<http::Route>& ApiServer::routes() const { return state_->router.routes(); }
bool ApiServer::drain(std::chrono::milliseconds at_most) { return state_->server->drain(at_most); }
void ApiServer::stop() {
  state_->model.engine().stop();
  state_->server->stop();
}

}  // namespace llm::api
