// A server with a few routes for tests: quick ones, one that answers when it is told to, streams.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "serving/http/http_server.h"
#include "serving/http/router.h"
#include "tests/http/raw_client.h"

namespace llm::http {

/// Asks every few milliseconds, until true or the time is over.
inline bool soon(const std::function<bool()>& question, double seconds = 5) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!question()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// /health          "ok", or 503 while draining
/// /echo            POST: the body back; its size as X-Size
/// /seen            what the request said: method, path, query, headers
/// /hold            kept unanswered; held() are the replies
/// /stream          begins a stream and keeps it; held() too
/// /usage /bug /odd /taken   exceptions: llm::Error of usage kind, std::runtime_error, int,
/// HttpError /dropped         no answer at all
struct TestServer {
  explicit TestServer(Limits limits = {}, int io_threads = 1,
                      std::function<Headers(const Request&)> answer_headers = {}) {
    add_routes();
    ServerConfig config;
    config.port = 0;
    config.io_threads = io_threads;
    config.limits = limits;
    config.answer_headers = std::move(answer_headers);
    config.handler = [this](Request&& request, const ReplyPtr& reply) {
      router.handle(std::move(request), reply);
    };
    config.observer = [this](const Exchange& exchange) {
      const std::lock_guard lock(mutex);
      exchanges.push_back(exchange);
    };
    server = std::make_unique<Server>(std::move(config));
    router.set_runner([this](std::function<void()> work) { server->post(std::move(work)); });
  }

  int port() const { return server->port(); }

  ReplyPtr held(size_t index) {
    const std::lock_guard lock(mutex);
    return index < replies.size() ? replies[index] : nullptr;
  }
  /// Waits until so many requests are held.
  bool wait_held(size_t count, double seconds = 5) {
    return soon([&] { return held(count - 1) != nullptr; }, seconds);
  }
  std::vector<Exchange> finished() {
    const std::lock_guard lock(mutex);
    return exchanges;
  }
  void forget_held() {
    const std::lock_guard lock(mutex);
    replies.clear();
  }

  std::atomic<int> closed{0};  // on_close calls
  std::mutex mutex;
  std::vector<ReplyPtr> replies;
  std::vector<Exchange> exchanges;
  Router router;
  std::unique_ptr<Server> server;

 private:
  void hold(const ReplyPtr& reply) {
    reply->on_close([this] { closed.fetch_add(1); });
    const std::lock_guard lock(mutex);
    replies.push_back(reply);
  }

  void add(const char* method, const char* pattern, RouteHandler handler) {
    router.add({method, pattern, Scope::open, std::move(handler), true, ""});
  }

  void add_routes() {
    add("GET", "/health", [this](const Request&, const ReplyPtr& reply) {
      if (server->draining()) throw HttpError(503, "unavailable", "server is shutting down");
      reply->send(200, "text/plain", "ok");
    });
    add("POST", "/echo", [](const Request& request, const ReplyPtr& reply) {
      reply->send(200, "application/octet-stream", request.body,
                  {{"X-Size", std::to_string(request.body.size())}});
    });
    add("GET", "/seen", [](const Request& request, const ReplyPtr& reply) {
      std::string text = request.method + " " + request.path + " " + request.address + "\n";
      for (const auto& [name, value] : request.query) text += name + "=" + value + "\n";
      for (const auto& [name, value] : request.headers) text += name + ": " + value + "\n";
      reply->send(200, "text/plain", text);
    });
    add("GET", "/hold", [this](const Request&, const ReplyPtr& reply) { hold(reply); });
    add("GET", "/stream", [this](const Request&, const ReplyPtr& reply) {
      reply->begin(200, "text/event-stream");
      hold(reply);
    });
    add("GET", "/usage",
        [](const Request&, const ReplyPtr&) { fail(Exit::usage, "top_k must be positive"); });
    add("GET", "/bug", [](const Request&, const ReplyPtr&) {
      throw std::runtime_error("/etc/secret is not readable");
    });
    add("GET", "/odd", [](const Request&, const ReplyPtr&) { throw 7; });
    add("GET", "/taken", [](const Request&, const ReplyPtr&) {
      throw HttpError(404, "model_not_found", "model 'x' is not served", "model");
    });
    add("GET", "/dropped", [](const Request&, const ReplyPtr&) {});
    router.add({"GET", "/worker/{name}", Scope::open,
                [](const Request& request, const ReplyPtr& reply) {
                  if (request.param("name") == "bug") throw std::runtime_error("worker bug");
                  reply->send(200, "text/plain", request.param("name"));
                },
                false, ""});
  }
};

}  // namespace llm::http
