#include "serving/http/api/api_server.h"

#include <fmt/format.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "serving/http/api/answer_json.h"
#include "serving/http/api/chat_completions.h"
#include "serving/http/api/openapi.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/api/response_cache.h"
#include "serving/http/api/serving_metrics.h"
#include "serving/http/api/web_page.h"
#include "serving/http/access_log.h"
#include "serving/http/api_keys.h"
#include "serving/http/cors.h"
#include "serving/http/gate.h"
#include "serving/http/http_server.h"
#include "serving/http/json_body.h"
#include "serving/http/rate_limit.h"

namespace llm::api {

using http::HttpError;
using http::ReplyPtr;
using http::Request;
using http::Scope;

namespace {

// Long bodies are read and tokenised one after the other; a short one beside them does not wait.
constexpr int kWorkers = 2;

bool wants_html(const Request& request) {
  return request.header("Accept").find("text/html") != std::string_view::npos;
}

/// Which browsers load without a key: it is where one types the key. What else is at "/" needs one.
bool asks_for_page(const http::Route& route, const Request& request) {
  return route.pattern == "/" && wants_html(request);
}

/// Of the engine; a server that ends takes no more of it.
bool asks_for_work(Scope scope) { return scope == Scope::generate || scope == Scope::embed; }

}  // namespace

struct ApiServer::State {
  State(ServedModel& served, ApiServerOptions given)
      : model(served),
        options(std::move(given)),
        keys(options.keys),
        rates({.requests_per_second = options.requests_per_second}),
        cors(options.cors_origins),
        cache(options.response_cache_entries),
        metrics(served, cache) {}

  ServedModel& model;
  ApiServerOptions options;
  http::ApiKeys keys;
  http::RateLimiter rates;
  http::CorsPolicy cors;
  RequestStatuses statuses;
  ResponseCache cache;
  ServingMetrics metrics;
  http::Router router;
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  std::unique_ptr<http::Server> server;
  std::atomic<bool> ready{false};  // the server is there to post to

  bool draining() const { return ready && server->draining(); }
  void add_generation();
  void add_tokens();
  void add_model();
  void add_status();
  void add(const char* method, const char* path, Scope scope, const char* summary,
           http::RouteHandler handler, bool quick = false) {
    router.add({method, path, scope, std::move(handler), quick, summary});
  }
  OrderedJson stats_json() const;
  OrderedJson server_metrics_json() const;
  OrderedJson scheduler_json(bool running) const;
  void answer_health(bool with_queue, const ReplyPtr& reply) const;
};

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

OrderedJson ApiServer::State::stats_json() const {
  const EngineStats stats = model.engine().stats();
  const double answered = static_cast<double>(metrics.answered());
  return {{"requests_processed", metrics.answered()},
          {"total_processing_time", metrics.total_seconds()},
          {"avg_processing_time", answered > 0 ? metrics.total_seconds() / answered : 0.0},
          {"active_requests", stats.running},
          {"waiting_requests", stats.waiting},
          {"prompt_tokens", stats.prompt_tokens},
          {"generated_tokens", metrics.generated_tokens()},
          {"kv_blocks", stats.kv_blocks},
          {"kv_blocks_used", stats.kv_blocks_used},
          {"kv_blocks_cached", stats.kv_blocks_cached},
          {"preemptions", stats.preemptions},
          {"prefix_hit_tokens", stats.prefix_hits},
          {"response_cache_hits", cache.hits()},
          {"uptime_seconds",
           std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count()}};
}

OrderedJson ApiServer::State::server_metrics_json() const {
  const ServingMetrics::Session session = metrics.session();
  return {{"sched_session_ttft", session.ttft},
          {"sched_session_tpot", session.tpot},
          {"sched_active_ttft_time", session.reading_time},
          {"sched_requests_served_per_second", session.requests_per_second},
          {"sched_total_generated_tokens", metrics.generated_tokens()}};
}

OrderedJson ApiServer::State::scheduler_json(bool running) const {
  const EngineStats now = model.engine().stats();
  return {{"service", "llm"},
          {"scheduler_running", running},
          {"queue_size", now.waiting},
          {"active_requests", now.running},
          {"server_metrics_enabled", true}};
}

void ApiServer::State::answer_health(bool with_queue, const ReplyPtr& reply) const {
  const auto age = model.engine().turn_age();
  const bool stalled = options.stall_timeout.count() > 0 && age > options.stall_timeout;
  const bool running = !stalled && !draining();
  OrderedJson json = {{"status", stalled ? "unhealthy" : running ? "ok" : "draining"}};
  json.update(with_queue ? scheduler_json(running)
                         : OrderedJson{{"model_loaded", true}, {"device", model.options().device}});
  if (stalled) json["stalled_seconds"] = std::chrono::duration<double>(age).count();
  reply->send_json(running ? 200 : 503, dumped(json));
}

void ApiServer::State::add_status() {
  const auto health = [this](bool with_queue) {
    return [this, with_queue](const Request&, const ReplyPtr& reply) {
      answer_health(with_queue, reply);
    };
  };
  add("GET", "/health", Scope::open, "200 while requests are taken and answered", health(false),
      true);
  add("GET", "/v1/health", Scope::any_key, "The same, with the queue", health(true), true);
  add(
      "GET", "/version", Scope::any_key, "The program's version",
      [](const Request&, const ReplyPtr& reply) {
        reply->send_json(200, dumped({{"version", program_version()}}));
      },
      true);
  add(
      "GET", "/metrics", Scope::any_key, "Figures for Prometheus",
      [this](const Request&, const ReplyPtr& reply) {
        reply->send(200, http::Metrics::kContentType, metrics.text());
      },
      true);
  const auto stats = [this](const Request&, const ReplyPtr& reply) {
    reply->send_json(200, dumped(stats_json()));
  };
  add("GET", "/stats", Scope::any_key, "Requests and tokens so far", stats, true);
  add(
      "GET", "/v1/server_metrics", Scope::any_key, "Means over all answers so far, in seconds",
      [this](const Request&, const ReplyPtr& reply) {
        reply->send_json(200, dumped(server_metrics_json()));
      },
      true);
  add(
      "GET", "/slots", Scope::any_key, "What each place of the batch does",
      [this](const Request&, const ReplyPtr& reply) {
        const EngineStats now = model.engine().stats();
        OrderedJson slots = OrderedJson::array();
        for (int64_t id = 0; id < model.engine().max_batch_size(); ++id)
          slots.push_back(
              {{"id", id}, {"n_ctx", model.max_model_len()}, {"is_processing", id < now.running}});
        reply->send_json(200, dumped(slots));
      },
      true);
  add(
      "GET", "/v1/queue/status", Scope::any_key, "Requests that run and wait",
      [this](const Request&, const ReplyPtr& reply) {
        const EngineStats now = model.engine().stats();
        reply->send_json(200, dumped({{"running", now.running},
                                      {"waiting", now.waiting},
                                      {"queue_size", model.options().queue_size},
                                      {"max_batch_size", model.engine().max_batch_size()}}));
      },
      true);
  add(
      "GET", "/v1/status/{id}", Scope::any_key, "How far a request for text has come",
      [this](const Request& request, const ReplyPtr& reply) {
        answer_status(statuses, request, reply);
      },
      true);
  add("GET", "/openapi.json", Scope::any_key, "This description",
      [this](const Request&, const ReplyPtr& reply) {
        reply->send_json(200, dumped(openapi_document(router.routes(), !keys.empty())));
      });
  add(
      "GET", "/", Scope::any_key, "The web page, or as JSON what is here",
      [](const Request& request, const ReplyPtr& reply) {
        if (wants_html(request)) {
          reply->send(200, "text/html; charset=utf-8", web_page(),
                      {{"Content-Security-Policy",
                        "default-src 'none'; style-src 'unsafe-inline'; script-src "
                        "'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; "
                        "form-action 'none'; frame-ancestors 'none'"}});
        } else {
          reply->send_json(200, dumped({{"name", "llm"},
                                        {"version", program_version()},
                                        {"docs", "/openapi.json"},
                                        {"health", "/health"}}));
        }
      },
      true);
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
