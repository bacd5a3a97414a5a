// The routes that tell how the server does, and its page. They run on the io thread, behind no
// body.
#include <nlohmann/json.hpp>

#include "base/version.h"
#include "serving/http/api/api_server_state.h"
#include "serving/http/api/openapi.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/api/web_page.h"

namespace llm::api {

using http::ReplyPtr;
using http::Request;
using http::Scope;

bool wants_html(const Request& request) {
  return request.header("Accept").find("text/html") != std::string_view::npos;
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

}  // namespace llm::api
