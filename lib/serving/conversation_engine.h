// One request after the other through an engine that stays: what earlier requests have left in the
// KV cache is not computed again.
//
// The text is, bit for bit, what a fresh engine would give. Reuse is found by comparing ids, in
// whole blocks of 32 tokens (prefix_cache.h); models that run through LibTorch's plain path have no
// shared blocks and read everything again. Memory is that of one whole context and a little, at
// most half of the machine's, touched as it is used. One thread.
#pragma once

#include <functional>
#include <vector>

#include "serving/engine.h"

namespace llm {

class ConversationEngine {
 public:
  using MakeDrafter = std::function<std::unique_ptr<Drafter>(const GenerationRequest&)>;

  /// Keeps a reference to the model. make_drafter: null for prompt lookup.
  explicit ConversationEngine(const TokenModel& model, MakeDrafter make_drafter = {});
  /// With memory and batch as `options` have them.
  ConversationEngine(const TokenModel& model, EngineOptions options);

  /// Runs it to the end, which comes early once `stopped()` is true, also while the prompt is read.
  /// What on_token throws ends the request and is thrown on. NaNs are Error(numerical).
  GenerationResult generate(GenerationRequest request, const std::function<bool()>& stopped = {});
  /// Several, as many together as the engine takes; results in their order, each as it would be
  /// alone. No request has callbacks. Errors as above.
  std::vector<GenerationResult> generate_all(std::vector<GenerationRequest> requests);

 private:
  void run(const std::function<void()>& after_step);

  Engine engine_;
};

}  // namespace llm
