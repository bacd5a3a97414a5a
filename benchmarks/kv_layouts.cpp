// When the layouts of keys and values win: paged, slab, bmc (serving/kv_pool.h), and int8.
//
// usage: kv_layouts MODEL_DIR [--threads N] [--memory-tokens N] [--context N] [--rounds N]
//                   [--workload NAME]
// One engine per run, over a pool that holds `memory-tokens` tokens in the model's own format (int8
// gets the same bytes). Workloads, all of random ids, greedy, past the end of text:
//   alone   one request of 1024 + 64 tokens (prompt + new)
//   short   32 requests of 32 + 32        long    12 of 512 + 64
//   mixed   28 of 32 + 32 and 4 of 1024 + 64, long ones first and in between
//   shared  12 of 512 + 64 whose first 480 tokens are the same, the first one by itself (with the
//           prefix cache, where the layout can share)
// Slabs are `context` tokens long, as in `llm api`; bmc grows by its root. Arms take turns, rounds
// times; figures are medians. Only ratios mean anything on a shared machine. A table in Markdown on
// stdout: requests in a pass (mean, and most), share of the memory that is reserved (mean of
// passes) and of that what holds tokens (more than 100 % where sequences share blocks), tokens a
// second (new ones, and all with the prompts'), copies of stretches or blocks, tokens computed for
// each token of the requests (more than 1 where requests were put aside, less where they shared).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "benchmarks/guarded_main.h"
#include "serving/engine.h"
#include "serving/load_token_model.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::string model;
  std::map<std::string, int64_t> values = {
      {"threads", 2}, {"memory-tokens", 8192}, {"context", 2048}, {"rounds", 3}};
  std::string workload;  // "": all

  Options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string argument = argv[i];
      if (!argument.starts_with("--")) {
        model = argument;
        continue;
      }
      const std::string name = argument.substr(2);
      if (name == "workload" && i + 1 < argc) {
        workload = argv[++i];
        continue;
      }
      llm::check(values.contains(name) && i + 1 < argc, "kv_layouts: unknown option {}", argument);
      values[name] = count_argument(argument, argv[++i]);
    }
    llm::check(!model.empty(),
               "usage: kv_layouts MODEL_DIR [--threads N] [--memory-tokens N] "
               "[--context N] [--rounds N] [--workload NAME]");
  }
};

/// A model that looks at its pool in every pass.
class WatchedModel final : public llm::TokenModel {
 public:
  explicit WatchedModel(const llm::TokenModel& model) : model_(model) {}

  int64_t vocab_size() const override { return model_.vocab_size(); }
  int64_t context_length() const override { return model_.context_length(); }
  int64_t kv_bytes_per_token(llm::Codes codes) const override {
    return model_.kv_bytes_per_token(codes);
  }
  std::shared_ptr<llm::KvPool> make_pool(const llm::KvPoolOptions& options) const override {
    return pool = model_.make_pool(options);
  }
  std::unique_ptr<llm::TokenSequence> start(int64_t capacity) const override {
    return model_.start(capacity);
  }
  std::unique_ptr<llm::TokenSequence> start_in(const std::shared_ptr<llm::KvPool>& in,
                                               int64_t capacity,
                                               std::span<const int32_t> ids) const override {
    return model_.start_in(in, capacity, ids);
  }
  void forward(std::span<const llm::TokenSegment> segments,
               std::span<float> logits) const override {
    model_.forward(segments, logits);
    ++passes;
    in_flight += std::ssize(segments);
    most = std::max(most, std::ssize(segments));
    reserved_blocks += pool->used_blocks();
    for (const llm::TokenSegment& segment : segments) {
      held_tokens += segment.sequence->length();
      computed += std::ssize(segment.ids);
    }
  }
  int64_t hidden_size() const override { return model_.hidden_size(); }
  std::vector<float> last_hidden_state(std::span<const int32_t> ids,
                                       const llm::ModelAdapterPtr& adapter) const override {
    return model_.last_hidden_state(ids, adapter);
  }

  mutable std::shared_ptr<llm::KvPool> pool;
  mutable int64_t passes = 0, in_flight = 0, most = 0, reserved_blocks = 0, held_tokens = 0;
  mutable int64_t computed = 0;

 private:
  const llm::TokenModel& model_;
};

struct Arm {
  const char* layout;
  llm::Codes codes = llm::Codes::none;
};
constexpr Arm kArms[] = {
    {"paged"}, {"slab"}, {"bmc"}, {"paged", llm::Codes::int8}, {"paged", llm::Codes::fp8}};

struct Shape {
  int64_t prompt, new_tokens, shared = 0;
};
struct Workload {
  const char* name;
  std::vector<Shape> requests;
};

std::vector<Workload> workloads() {
  Workload mixed{"mixed", std::vector<Shape>(32, {32, 32})};
  for (const size_t i : {0, 8, 16, 24}) mixed.requests[i] = {1024, 64};
  return {{"alone", {{1024, 64}}},
          {"short", std::vector<Shape>(32, {32, 32})},
          {"long", std::vector<Shape>(12, {512, 64})},
          mixed,
          {"shared", std::vector<Shape>(12, {512, 64, 480})}};
}

struct Figures {
  double in_flight = 0, reserved = 0, used = 0, new_rate = 0, all_rate = 0, computed = 0;
  int64_t most = 0, copies = 0;
};

std::vector<int32_t> random_prompt(const Shape& shape, int64_t vocab, uint64_t key) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < shape.prompt; ++i)
    ids.push_back(static_cast<int32_t>(
        3 + llm::combine_keys(i < shape.shared ? 0 : key, static_cast<uint64_t>(i)) %
                static_cast<uint64_t>(vocab - 4)));
  return ids;
}

llm::GenerationRequest request_of(const Shape& shape, const llm::TokenModel& model, uint64_t key) {
  llm::GenerationConfig config;
  config.do_sample = false;
  config.ignore_eos = true;
  config.seed = 0;
  config.max_new_tokens = shape.new_tokens;
  llm::GenerationRequest request;
  request.prompt_ids = random_prompt(shape, model.vocab_size(), key);
  request.config = llm::freeze(
      config, {.vocab_size = model.vocab_size(), .context_length = model.context_length()});
  return request;
}

Figures run_arm(const llm::TokenModel& inner, const Workload& workload, const Arm& arm,
                const Options& options) {
  const WatchedModel model(inner);
  const int64_t memory = options.values.at("memory-tokens") * inner.kv_bytes_per_token();
  llm::EngineOptions engine_options;
  engine_options.max_batch_size = 64;
  engine_options.prefix_cache = workload.requests[0].shared > 0;
  engine_options.kv = {
      .max_blocks = memory / (inner.kv_bytes_per_token(arm.codes) * llm::kKvBlockTokens),
      .layout = arm.layout,
      .slab_tokens = options.values.at("context"),
      .codes = arm.codes};
  llm::Engine engine(model, engine_options);
  llm::check(model.pool != nullptr, "kv_layouts: this model does not run packed on this machine");
  int64_t prompts = 0, written = 0;
  const auto started = Clock::now();
  double reading_s = 0;  // until the first request has its first token: alone, that is the prompt
  for (size_t i = 0; i < workload.requests.size(); ++i) {
    prompts += workload.requests[i].prompt;
    engine.submit(
        request_of(workload.requests[i], inner, i + 1), [&](llm::GenerationResult&& result) {
          llm::check(result.finish_reason == llm::FinishReason::length, "{}", result.error);
          written += std::ssize(result.token_ids);
          if (workload.requests.size() == 1) reading_s = result.timing.ttft_ms / 1e3;
        });
    while (i == 0 && workload.requests[0].shared > 0 && engine.step()) {
    }
  }
  while (engine.step()) {
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  const auto passes = static_cast<double>(model.passes);
  const auto reserved_tokens = static_cast<double>(model.reserved_blocks * llm::kKvBlockTokens);
  return {.in_flight = static_cast<double>(model.in_flight) / passes,
          .reserved = static_cast<double>(model.reserved_blocks) / passes /
                      static_cast<double>(engine_options.kv.max_blocks),
          .used = static_cast<double>(model.held_tokens) / reserved_tokens,
          .new_rate = static_cast<double>(written) / (seconds - reading_s),
          .all_rate = static_cast<double>(prompts + written) / seconds,
          .computed = static_cast<double>(model.computed) /
                      static_cast<double>(prompts + written - std::ssize(workload.requests)),
          .most = model.most,
          .copies = model.pool->copies()};
}

double median(std::vector<Figures>& runs, double Figures::*what) {
  std::sort(runs.begin(), runs.end(),
            [&](const Figures& a, const Figures& b) { return a.*what < b.*what; });
  return (runs[(runs.size() - 1) / 2].*what + runs[runs.size() / 2].*what) / 2;
}

void print_row(const Workload& workload, const Arm& arm, std::vector<Figures> runs) {
  fmt::print("| {} | {}{} | {:.1f} ({}) | {:.0f} % | {:.0f} % | {:.1f} | {:.0f} | {} | {:.2f} |\n",
             workload.name, arm.layout,
             arm.codes == llm::Codes::none ? "" : fmt::format(", {}", llm::codes_name(arm.codes)),
             median(runs, &Figures::in_flight), runs[0].most,
             100 * median(runs, &Figures::reserved), 100 * median(runs, &Figures::used),
             median(runs, &Figures::new_rate), median(runs, &Figures::all_rate), runs[0].copies,
             median(runs, &Figures::computed));
  std::fflush(stdout);
}

int run(const Options& options) {
  const llm::LoadedTokenModel loaded = llm::open_token_model(
      options.model, {.device = "cpu", .threads = static_cast<int>(options.values.at("threads"))});
  const llm::TokenModel& model = *loaded.model;
  fmt::print("{} parameters in {}, {} bytes a token ({} int8), memory {} tokens\n\n",
             loaded.parameters, loaded.dtype, model.kv_bytes_per_token(),
             model.kv_bytes_per_token(llm::Codes::int8), options.values.at("memory-tokens"));
  fmt::print(
      "| workload | layout | in a pass (most) | reserved | of it tokens | new tok/s | all "
      "tok/s | copies | computed |\n|---|---|---|---|---|---|---|---|---|\n");
  const Workload warm{"warm", {{64, 4}}};
  run_arm(model, warm, kArms[0], options);
  run_arm(model, warm, kArms[0], options);  // (the second pass packs the weights)
  for (const Workload& workload : workloads()) {
    if (!options.workload.empty() && options.workload != workload.name) continue;
    std::vector<std::vector<Figures>> runs(std::size(kArms));
    for (int64_t round = 0; round < options.values.at("rounds"); ++round) {
      for (size_t arm = 0; arm < std::size(kArms); ++arm)
        runs[arm].push_back(run_arm(model, workload, kArms[arm], options));
    }
    for (size_t arm = 0; arm < std::size(kArms); ++arm) print_row(workload, kArms[arm], runs[arm]);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return guarded_main("kv_layouts", [&] { return run(Options(argc, argv)); });
}
