#include "serving/http/api/serving_metrics.h"

#include <fmt/format.h>

#include <array>
#include <chrono>

#include "base/log.h"
#include "serving/http/api/answer_json.h"

namespace llm::api {
namespace {

const std::vector<double> kSeconds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                      0.25,  0.5,   0.75, 1,    2.5,  5,    7.5,  10};
const std::vector<double> kLongSeconds = {0.3, 0.5, 0.8, 1,  1.5, 2,  2.5,
                                          5,   10,  15,  20, 30,  60, 120};
// AMD PACE's bounds, for dashboards made for it.
const std::vector<double> kPaceTtft = {0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1,  1.5, 2,
                                       2.5, 3,   4,    5,   7.5, 10,  15,   20, 30,  60};
const std::vector<double> kPaceTpot = {0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.35,
                                       0.4,  0.5,   0.6, 0.75,  1,    1.5,   2,   3,    4,   5};
const std::vector<double> kTokens = {1,   2,   5,    10,   20,   50,    100,
                                     200, 500, 1000, 2000, 5000, 10000, 20000};

constexpr size_t kMostLoggedNames = 100;

/// Of all texts that a request is answered by.
size_t new_tokens(const GenerationResult& result) {
  size_t count = 0;
  for (const GenerationResult* text : texts_of(result)) count += text->token_ids.size();
  return count;
}

std::vector<std::string> both(const std::string& name) { return {"llm:" + name, "vllm:" + name}; }

}  // namespace

ServingMetrics::ServingMetrics(ServedModel& model, const ResponseCache& cache)
    : labels_{{"model_name", model.name()}},
      unknown_fields_(metrics_.counter({"llm:unknown_request_fields_total"},
                                       "Fields of bodies that this server does not know")),
      generated_tokens_(
          metrics_.counter({"llm:generation_tokens_total", "vllm:generation_tokens_total",
                            "llamacpp:tokens_predicted_total"},
                           "Tokens of answers", labels_)) {
  auto& first = metrics_.histogram(both("time_to_first_token_seconds"),
                                   "From arrival to the first token", kSeconds, labels_);
  auto& between = metrics_.histogram(both("inter_token_latency_seconds"), "Between two tokens",
                                     kSeconds, labels_);
  auto& whole = metrics_.histogram(both("e2e_request_latency_seconds"), "From arrival to the end",
                                   kLongSeconds, labels_);
  auto& queue = metrics_.histogram(both("request_queue_time_seconds"),
                                   "From arrival until the prompt is read", kLongSeconds, labels_);
  auto& prefill = metrics_.histogram(both("request_prefill_time_seconds"), "Reading the prompt",
                                     kLongSeconds, labels_);
  auto& decode = metrics_.histogram(both("request_decode_time_seconds"),
                                    "From the first token to the last", kLongSeconds, labels_);
  auto& pace_first =
      metrics_.histogram({"pace_ttft_seconds"}, "From arrival to the first token", kPaceTtft);
  auto& pace_each = metrics_.histogram({"pace_tpot_seconds"},
                                       "Mean time between two tokens of an answer", kPaceTpot);
  auto& prompts =
      metrics_.histogram(both("request_prompt_tokens"), "Tokens of a prompt", kTokens, labels_);
  auto& answers = metrics_.histogram(both("request_generation_tokens"), "Tokens of an answer",
                                     kTokens, labels_);
  auto& prompt_total = metrics_.counter(
      {"llm:prompt_tokens_total", "vllm:prompt_tokens_total", "llamacpp:prompt_tokens_total"},
      "Tokens of prompts", labels_);
  std::array<http::Counter*, 6> ends{};
  for (size_t i = 1; i < ends.size(); ++i) {
    http::Labels labels = labels_;
    labels.emplace_back("finished_reason", finish_reason_name(static_cast<FinishReason>(i)));
    ends[i] = &metrics_.counter(both("request_success_total"), "Answers by how they ended", labels);
  }
  declare_engine(model);
  metrics_.counter_of(
      {"llm:response_cache_hits_total"}, "Answers given from the response cache",
      [&cache] { return static_cast<double>(cache.hits()); }, labels_);
  ServingObserver observer;
  observer.token = [this] { generated_tokens_.add(); };
  observer.between_tokens = [&between](double seconds) { between.observe(seconds); };
  observer.ended = [&, ends](const GenerationResult& result, size_t prompt_tokens, size_t told) {
    const GenerationTiming& timing = result.timing;
    const size_t count = new_tokens(result);
    whole.observe(timing.total_ms / 1e3);
    queue.observe(timing.queue_ms / 1e3);
    if (count > 0) {
      first.observe(timing.ttft_ms / 1e3);
      pace_first.observe(timing.ttft_ms / 1e3);
      prefill.observe((timing.ttft_ms - timing.queue_ms) / 1e3);
      decode.observe((timing.total_ms - timing.ttft_ms) / 1e3);
    }
    if (result.token_ids.size() > 1) pace_each.observe(timing.tpot_ms / 1e3);
    prompts.observe(static_cast<double>(prompt_tokens));
    answers.observe(static_cast<double>(count));
    prompt_total.add(prompt_tokens);
    generated_tokens_.add(count - told);
    ends[static_cast<size_t>(result.finish_reason)]->add();
    ++answered_;
    seconds_.fetch_add(timing.total_ms / 1e3);
    count_session(result);
  };
  observer.unknown_field = [this](const std::string& name) { count_unknown_field(name); };
  model.set_observer(std::move(observer));
}

void ServingMetrics::count_session(const GenerationResult& result) {
  using Seconds = std::chrono::duration<double>;
  const double now = Seconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  const GenerationTiming& timing = result.timing;
  const double came = now - timing.total_ms / 1e3;
  const size_t count = result.token_ids.size();
  const std::lock_guard guard(mutex_);
  ++sums_.requests;
  sums_.busy.add(came, now);
  if (count == 0) return;
  ++sums_.with_tokens;
  sums_.ttft += timing.ttft_ms / 1e3;
  sums_.decoding += timing.tpot_ms / 1e3 * static_cast<double>(count - 1);
  sums_.tokens_after_first += count - 1;
  sums_.reading.add(came, came + timing.ttft_ms / 1e3);
}

ServingMetrics::Session ServingMetrics::session() const {
  const std::lock_guard guard(mutex_);
  const auto mean = [](double sum, double count) { return count > 0 ? sum / count : 0.0; };
  Session session;
  session.ttft = mean(sums_.ttft, static_cast<double>(sums_.with_tokens));
  session.tpot = mean(sums_.decoding, static_cast<double>(sums_.tokens_after_first));
  session.reading_time = sums_.reading.seconds();
  session.requests_per_second = mean(static_cast<double>(sums_.requests), sums_.busy.seconds());
  return session;
}

void ServingMetrics::count_unknown_field(const std::string& name) {
  unknown_fields_.add();
  const std::string shown = http::loggable(name);  // what differs beyond that is one name
  {
    const std::lock_guard guard(mutex_);
    if (logged_names_.size() >= kMostLoggedNames || !logged_names_.insert(shown).second) return;
  }
  log_info("requests have the field '{}', which has no meaning here", shown);
}

void ServingMetrics::declare_engine(const ServedModel& model) {
  const auto gauge = [&](std::vector<std::string> names, const char* help, auto&& of) {
    metrics_.gauge_of(
        names, help, [&model, of] { return static_cast<double>(of(model.engine().stats())); },
        labels_);
  };
  const auto counter = [&](std::vector<std::string> names, const char* help, auto&& of) {
    metrics_.counter_of(
        names, help, [&model, of] { return static_cast<double>(of(model.engine().stats())); },
        labels_);
  };
  using Stats = const EngineStats&;
  gauge({"llm:num_requests_running", "vllm:num_requests_running", "llamacpp:requests_processing"},
        "Requests in flight", [](Stats s) { return s.running; });
  gauge({"llm:num_requests_waiting", "vllm:num_requests_waiting", "llamacpp:requests_deferred"},
        "Requests that wait", [](Stats s) { return s.waiting; });
  // (Blocks that only the prefix cache holds are free to whoever needs them.)
  gauge(both("kv_cache_usage_perc"), "Share of the KV blocks that requests hold, 0 to 1",
        [](Stats s) {
          const auto held = static_cast<double>(s.kv_blocks_used - s.kv_blocks_cached);
          return s.kv_blocks > 0 ? held / static_cast<double>(s.kv_blocks) : 0.0;
        });
  counter(both("num_preemptions_total"), "Requests put aside for lack of memory",
          [](Stats s) { return s.preemptions; });
  counter(both("prefix_cache_queries_total"), "Prompt tokens looked up in the prefix cache",
          [](Stats s) { return s.prefix_queries; });
  counter(both("prefix_cache_hits_total"), "Prompt tokens found in the prefix cache",
          [](Stats s) { return s.prefix_hits; });
  counter({"llm:spec_decode_draft_tokens_total", "vllm:spec_decode_num_draft_tokens_total"},
          "Tokens guessed ahead", [](Stats s) { return s.tokens_drafted; });
  counter({"llm:spec_decode_accepted_tokens_total", "vllm:spec_decode_num_accepted_tokens_total"},
          "Guessed tokens that were right", [](Stats s) { return s.tokens_accepted; });
}

void ServingMetrics::count_exchange(const http::Exchange& exchange) {
  metrics_
      .counter({"llm:http_requests_total"}, "Answers by status",
               {{"status", fmt::format("{}", exchange.status)}})
      .add();
}

}  // namespace llm::api
