// The figures of a server, under llm:, vllm: and llamacpp: names, so that stock dashboards work.
#pragma once

#include <atomic>
#include <mutex>
#include <set>
#include <string>

#include "serving/http/api/busy_time.h"
#include "serving/http/api/response_cache.h"
#include "serving/http/api/served_model.h"
#include "serving/http/http_server.h"
#include "serving/http/metrics_text.h"

namespace llm::api {

class ServingMetrics {
 public:
  /// Keeps references to the model and the cache, and makes itself the model's observer.
  ServingMetrics(ServedModel& model, const ResponseCache& cache);

  void count_exchange(const http::Exchange& exchange);
  /// A field of a body that no route knows; logged the first time, for the first hundred names.
  void count_unknown_field(const std::string& name);
  std::string text() const { return metrics_.text(); }

  /// Requests that got an answer, and the seconds they took together: /stats.
  uint64_t answered() const { return answered_.load(); }
  double total_seconds() const { return seconds_.load(); }
  /// Tokens of answers so far, of those that are being written too; a beam search's come together
  /// when it ends. The one count behind /metrics, /stats and /v1/server_metrics.
  uint64_t generated_tokens() const { return generated_tokens_.value(); }

  /// What /v1/server_metrics tells: means over all answers and tokens so far, 0 where there are
  /// none; seconds.
  struct Session {
    double ttft = 0, tpot = 0;
    double reading_time = 0;         // in which a request waited for its first token
    double requests_per_second = 0;  // of the time in which there were requests
  };
  Session session() const;

 private:
  void declare_engine(const ServedModel& model);
  void count_session(const GenerationResult& result);
  http::Labels labels_;
  http::Metrics metrics_;
  http::Counter& unknown_fields_;
  http::Counter& generated_tokens_;
  mutable std::mutex mutex_;
  std::set<std::string> logged_names_;
  std::atomic<uint64_t> answered_{0};
  std::atomic<double> seconds_{0};
  struct SessionSums {
    double ttft = 0, decoding = 0;
    uint64_t requests = 0, with_tokens = 0, tokens_after_first = 0;
    BusyTime reading, busy;
  };
  SessionSums sums_;  // under mutex_
};

}  // namespace llm::api
