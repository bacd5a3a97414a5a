// `llm api`: the routes over the HTTP server, for one model.
//
// Constructing it listens and serves. drain() is what SIGTERM asks for: new work is refused with
// 503, /health says 503, running answers may end. Keys, rates and limits as reliability 5 has them;
// docs/serving.md lists the routes.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "serving/http/api/completions.h"
#include "serving/http/api/served_model.h"
#include "serving/http/limits.h"
#include "serving/http/router.h"

namespace llm::api {

struct ApiServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;
  int io_threads = 1;
  std::vector<std::string> keys;
  bool insecure = false;
  double requests_per_second = 0;  // per key or address; 0: no limit
  size_t response_cache_entries = 256;
  std::vector<std::string> cors_origins;  // of web pages that may read answers; see cors.h
  http::Limits limits;
  /// /health says 503 while the engine has work and has ended no turn for longer; 0: it never does.
  std::chrono::milliseconds stall_timeout{30'000};
  AnswerOptions answers;
};

class ApiServer {
 public:
  /// Keeps a reference to the model. Usage errors: a public bind without keys, a port in use.
  ApiServer(ServedModel& model, ApiServerOptions options);
  ~ApiServer();

  int port() const;
  std::string url() const;
  const std::vector<http::Route>& routes() const;
  /// True if all answers ended in time.
  bool drain(std::chrono::milliseconds at_most);
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llm::api
