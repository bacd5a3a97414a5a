// Text generation of this program on a model directory: one JSON object on stdout for each line
// "go" on stdin.
//
// usage: decode_bench MODEL_DIR [--threads N] [--new-tokens N] [--prompt N] [--batch N]
//        [--quantize none|int8|fp8|int4]
// Greedy decoding past the end of the text. One round: `batch` prompts of 8 random tokens,
// `new-tokens` new ones each (decode), and one prompt of `prompt` tokens (prefill). weight_bytes is
// what one decode step reads of the weights: gb_s is that times the steps per second.
// benchmarks/decode.py runs it beside transformers.
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <string>

#include "base/error.h"
#include "base/random.h"
#include "benchmarks/guarded_main.h"
#include "model/kernels/cpu_allocator.h"
#include "serving/autoregressive.h"
#include "serving/load_token_model.h"

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Options {
  std::string model, quantize = "none";
  std::map<std::string, int64_t> values = {
      {"threads", 2}, {"new-tokens", 64}, {"prompt", 512}, {"batch", 1}};

  Options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string argument = argv[i];
      if (!argument.starts_with("--")) {
        model = argument;
        continue;
      }
      const std::string name = argument.substr(2);
      if (name == "quantize" && i + 1 < argc) {
        quantize = argv[++i];
        continue;
      }
      llm::check(values.contains(name) && i + 1 < argc, "decode_bench: unknown option {}",
                 argument);
      values[name] = count_argument(argument, argv[++i]);
    }
    llm::check(
        !model.empty(),
        "usage: decode_bench MODEL_DIR [--threads N] [--new-tokens N] [--prompt N] [--batch N] "
        "[--quantize none|int8|fp8|int4]");
  }
};

std::vector<int32_t> random_prompt(int64_t tokens, int64_t vocab, uint64_t key) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i)
    ids.push_back(static_cast<int32_t>(3 + llm::combine_keys(key, static_cast<uint64_t>(i)) %
                                               static_cast<uint64_t>(vocab - 4)));
  return ids;
}

std::vector<llm::GenerationRequest> requests_of(const Options& options,
                                                const llm::TokenModel& model) {
  llm::GenerationConfig config;
  config.do_sample = false;
  config.seed = 0;
  config.max_new_tokens = options.values.at("new-tokens");
  std::vector<llm::GenerationRequest> requests;
  for (int64_t row = 0; row < options.values.at("batch"); ++row) {
    llm::GenerationRequest request;
    request.prompt_ids = random_prompt(8, model.vocab_size(), static_cast<uint64_t>(row));
    request.config = llm::freeze(
        config, {.vocab_size = model.vocab_size(), .context_length = model.context_length()});
    requests.push_back(std::move(request));
  }
  return requests;
}

int run(const Options& options) {
  llm::install_caching_cpu_allocator();
  at::set_num_threads(static_cast<int>(options.values.at("threads")));
  const auto started = Clock::now();
  const llm::LoadedTokenModel loaded =
      llm::load_token_model(options.model, {.quantize = options.quantize});
  const double load_s = seconds_since(started);
  const llm::TokenModel& model = *loaded.model;
  const int64_t weight_bytes = loaded.weight_bytes;
  const std::vector<llm::GenerationRequest> requests = requests_of(options, model);
  const std::vector<int32_t> prompt =
      random_prompt(options.values.at("prompt"), model.vocab_size(), 99);
  for (std::string line; std::getline(std::cin, line);) {
    auto start = Clock::now();
    const auto results = llm::Autoregressive(model, options.values.at("batch")).generate(requests);
    const double total = seconds_since(start);
    start = Clock::now();
    model.append(*model.start(static_cast<int64_t>(prompt.size())), prompt);
    const double prefill = seconds_since(start);
    const double tokens = static_cast<double>(results.size() * results[0].token_ids.size());
    const double steps_per_s = results[0].timing.tokens_per_second;
    std::printf(
        "{\"tokens_per_second\": %.2f, \"steps_per_second\": %.3f, \"gb_s\": %.2f, "
        "\"prefill_tokens_per_second\": %.1f, \"ttft_ms\": %.2f, "
        "\"weight_bytes\": %lld, \"parameters\": %lld, \"dtype\": \"%s\", \"quantization\": "
        "\"%s\", \"packed\": %s, "
        "\"load_s\": %.2f, \"last_token\": %d}\n",
        tokens / total, steps_per_s, steps_per_s * static_cast<double>(weight_bytes) / 1e9,
        static_cast<double>(prompt.size()) / prefill, results[0].timing.ttft_ms,
        static_cast<long long>(weight_bytes), static_cast<long long>(loaded.parameters),
        loaded.dtype.c_str(), loaded.quantization.c_str(), loaded.packed ? "true" : "false", load_s,
        results[0].token_ids.back());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return guarded_main("decode_bench", [&] { return run(Options(argc, argv)); });
}
