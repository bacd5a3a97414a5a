#include "serving/autoregressive.h"

#include <algorithm>

#include "base/error.h"
#include "serving/context_plan.h"
#include "serving/engine.h"

namespace llm {
namespace {

/// Blocks for the requests that may be in flight together.
int64_t blocks_for(std::span<const GenerationRequest> requests, int64_t max_batch,
                   int64_t context) {
  std::vector<int64_t> blocks;
  for (const GenerationRequest& request : requests) {
    int64_t tokens = std::ssize(request.prompt_ids) + request.config.max_new_tokens();
    if (context > 0) tokens = std::min(tokens, context);
    const int64_t beams = request.config->num_beams;
    blocks.push_back((tokens / kKvBlockTokens + 2) * (beams > 1 ? 2 * beams : 1));
  }
  std::sort(blocks.rbegin(), blocks.rend());
  blocks.resize(std::min(blocks.size(), static_cast<size_t>(max_batch)));
  int64_t sum = 0;
  for (const int64_t count : blocks) sum += count;
  return std::max<int64_t>(sum, 1);
}

}  // namespace

Autoregressive::Autoregressive(const TokenModel& model, int64_t max_batch, MakeDrafter make_drafter)
    : model_(model), max_batch_(max_batch), make_drafter_(std::move(make_drafter)) {
  check(max_batch >= 1, "max_batch must be at least 1, got {}", max_batch);
}

std::vector<GenerationResult> Autoregressive::generate(
    std::span<const GenerationRequest> requests) const {
  EngineOptions options;
  options.max_batch_size = max_batch_;
  options.kv.max_blocks = blocks_for(requests, max_batch_, model_.context_length());
  options.make_drafter = make_drafter_;
  Engine engine(model_, std::move(options));
  std::vector<GenerationResult> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    engine.submit(requests[i],
                  [&results, i](GenerationResult&& result) { results[i] = std::move(result); });
  }
  while (engine.step()) {
  }
  for (const GenerationResult& result : results) {
    if (result.finish_reason == FinishReason::error) fail(Exit::numerical, result.error);
  }
  return results;
}

}  // namespace llm
