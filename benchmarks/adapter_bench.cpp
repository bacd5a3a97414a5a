// What LoRA adapters cost beside the packed model: the same requests with and without, in turns.
//
// usage: adapter_bench MODEL_DIR [RANK (16)] [ROUNDS (5)]
// Adapters of random numbers on all seven matrices of every layer. Arms: a prompt of 1,024 tokens;
// one text of 16 + 48 tokens; sixteen of them, which have no adapter, one for all, or four. Figures
// are medians of the ratio of a round; only ratios mean anything on a shared machine.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "benchmarks/guarded_main.h"
#include "model/lora_adapter.h"
#include "model/parameter_layout.h"
#include "serving/engine.h"
#include "serving/load_token_model.h"

namespace {

using Clock = std::chrono::steady_clock;

llm::LoraAdapter random_adapter(const llm::ModelConfig& config, int64_t rank) {
  llm::LoraAdapter adapter;
  for (const llm::ParameterPlace& place : llm::parameter_layout(config)) {
    if (!place.name.ends_with("_proj.weight")) continue;
    llm::LoraDelta delta{rank, place.shape[1], place.shape[0], 1.0f, {}, {}};
    const llm::CounterRandom random(static_cast<uint64_t>(place.offset));
    const auto number = [&](int64_t i) {
      return 0.05f * (llm::unit_float(random.bits(static_cast<uint64_t>(i))) - 0.5f);
    };
    for (int64_t i = 0; i < rank * delta.inputs; ++i) delta.a.push_back(number(i));
    for (int64_t i = 0; i < rank * delta.outputs; ++i) delta.b.push_back(number(-i - 1));
    adapter.deltas.emplace(place.name, std::move(delta));
  }
  return adapter;
}

/// Seconds for `crowd` texts at once, text i with adapters[i % size].
double seconds(const llm::TokenModel& model, int crowd, int64_t prompt, int64_t tokens,
               const std::vector<llm::ModelAdapterPtr>& adapters) {
  llm::EngineOptions options;
  options.kv.max_blocks = 400;
  options.prefix_cache = false;
  llm::Engine engine(model, options);
  llm::GenerationConfig config;
  config.max_new_tokens = tokens;
  config.do_sample = false;
  config.ignore_eos = true;
  llm::GenerationRequest request;
  request.config = llm::freeze(
      config, {.vocab_size = model.vocab_size(), .context_length = model.context_length()});
  for (int i = 0; i < crowd; ++i) {
    request.prompt_ids.clear();
    const llm::CounterRandom random(static_cast<uint64_t>(i));
    for (int64_t t = 0; t < prompt; ++t)
      request.prompt_ids.push_back(static_cast<int32_t>(random.bits(static_cast<uint64_t>(t)) %
                                                        static_cast<uint64_t>(model.vocab_size())));
    request.adapter = adapters[static_cast<size_t>(i) % adapters.size()];
    engine.submit(request, {});
  }
  const auto begin = Clock::now();
  while (engine.step()) {
  }
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  llm::check(argc >= 2, "usage: adapter_bench MODEL_DIR [RANK] [ROUNDS]");
  const int64_t rank = argc > 2 ? count_argument("RANK", argv[2]) : 16;
  const int rounds = argc > 3 ? static_cast<int>(count_argument("ROUNDS", argv[3])) : 5;
  const auto loaded = llm::load_packed_model(argv[1], {.threads = 2});
  llm::check(loaded.has_value(), "{} does not run packed", argv[1]);
  const llm::TokenModel& model = *loaded->model;
  const llm::LoraAdapter adapter = random_adapter(loaded->config, rank);
  std::vector<llm::ModelAdapterPtr> four;
  for (int i = 0; i < 4; ++i) four.push_back(model.adapt(adapter));
  const std::vector<llm::ModelAdapterPtr> none = {nullptr}, one = {four[0]};
  seconds(model, 2, 16, 4, none);
  std::vector<double> prompt, alone, same, mixed;
  for (int round = 0; round < rounds; ++round) {
    prompt.push_back(1 / seconds(model, 1, 1024, 1, none) * seconds(model, 1, 1024, 1, one));
    alone.push_back(1 / seconds(model, 1, 16, 48, none) * seconds(model, 1, 16, 48, one));
    const double plain = seconds(model, 16, 16, 48, none);
    same.push_back(seconds(model, 16, 16, 48, one) / plain);
    mixed.push_back(seconds(model, 16, 16, 48, four) / plain);
  }
  fmt::print("rank {}, {:.1f}M parameters of {:.0f}M; time with an adapter / without:\n", rank,
             static_cast<double>(adapter.parameters()) / 1e6,
             static_cast<double>(loaded->parameters) / 1e6);
  fmt::print(
      "prompt of 1,024: {:.3f} | one text: {:.3f} | sixteen with one: {:.3f} | "
      "sixteen with four: {:.3f}\n",
      median(prompt), median(alone), median(same), median(mixed));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return guarded_main("adapter_bench", [&] { return run(argc, argv); });
}
