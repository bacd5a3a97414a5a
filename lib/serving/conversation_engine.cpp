#include "serving/conversation_engine.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/error.h"
#include "base/system_memory.h"

namespace llm {
namespace {

/// Blocks for one whole context and the beginnings of what was said before; no more than half of
/// the memory.
EngineOptions one_conversation(const TokenModel& model, ConversationEngine::MakeDrafter drafter) {
  EngineOptions options;
  options.max_batch_size = 1;
  options.make_drafter = std::move(drafter);
  const int64_t per_block = std::max<int64_t>(model.kv_bytes_per_token() * kKvBlockTokens, 1);
  const int64_t most = std::max<int64_t>(usable_memory_bytes() / 2 / per_block, 1);
  const int64_t context = model.context_length();
  options.kv.max_blocks =
      context > 0 ? std::min(context / kKvBlockTokens + 8, most) : std::min<int64_t>(4096, most);
  return options;
}

}  // namespace

ConversationEngine::ConversationEngine(const TokenModel& model, MakeDrafter make_drafter)
    : engine_(model, one_conversation(model, std::move(make_drafter))) {}

ConversationEngine::ConversationEngine(const TokenModel& model, EngineOptions options)
    : engine_(model, std::move(options)) {}

/// Steps until nothing is left.
void ConversationEngine::run(const std::function<void()>& after_step) {
  try {
    while (engine_.step()) after_step();
  } catch (...) {  // the engine must not keep what refers to this call
    engine_.cancel_all();
    engine_.step();
    throw;
  }
}

GenerationResult ConversationEngine::generate(GenerationRequest request,
                                              const std::function<bool()>& stopped) {
  GenerationResult result;
  std::exception_ptr broken;  // of on_token: not to go through the engine
  if (!request.cancelled) request.cancelled = std::make_shared<std::atomic<bool>>(false);
  const auto cancelled = request.cancelled;
  request.on_token = [&, told = std::move(request.on_token)](const TokenEvent& event) {
    try {
      return !broken && (!told || told(event));
    } catch (...) {
      broken = std::current_exception();
      return false;
    }
  };
  engine_.submit(std::move(request), [&](GenerationResult&& done) { result = std::move(done); });
  run([&] {
    if (stopped && stopped()) cancelled->store(true);
  });
  if (broken) std::rethrow_exception(broken);
  if (result.finish_reason == FinishReason::error) fail(Exit::numerical, result.error);
  return result;
}

std::vector<GenerationResult> ConversationEngine::generate_all(
    std::vector<GenerationRequest> requests) {
  for (const GenerationRequest& request : requests) engine_.check_request_fits(request);
  std::vector<GenerationResult> results(requests.size());
  for (size_t i = 0; i < requests.size(); ++i)
    engine_.submit_checked(std::move(requests[i]), [&results, i](GenerationResult&& done) {
      results[i] = std::move(done);
    });
  run([] {});
  for (const GenerationResult& result : results) {
    if (result.finish_reason == FinishReason::error) fail(Exit::numerical, result.error);
  }
  return results;
}

}  // namespace llm
