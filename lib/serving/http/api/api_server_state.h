// What an ApiServer consists of, for the files that define its routes.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/api_server.h"
#include "serving/http/api/request_statuses.h"
#include "serving/http/api/response_cache.h"
#include "serving/http/api/serving_metrics.h"
#include "serving/http/api_keys.h"
#include "serving/http/cors.h"
#include "serving/http/http_server.h"
#include "serving/http/rate_limit.h"

namespace llm::api {

/// At "/" who asks for HTML gets the web page.
bool wants_html(const http::Request& request);

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
  void add(const char* method, const char* path, http::Scope scope, const char* summary,
           http::RouteHandler handler, bool quick = false) {
    router.add({method, path, scope, std::move(handler), quick, summary});
  }
  OrderedJson stats_json() const;
  OrderedJson server_metrics_json() const;
  OrderedJson scheduler_json(bool running) const;
  void answer_health(bool with_queue, const http::ReplyPtr& reply) const;
};

}  // namespace llm::api
