// What the context policy makes of one request.
//
// Where prompt + new tokens exceed the model's context: `error` refuses a prompt that leaves no
// room (usage error) and ends with finish reason length where the context is full; `truncate-left`
// drops the oldest prompt tokens so that all new tokens fit; `slide` goes on for ever: when the
// context is full, the newest half is read again as a fresh prompt.
#pragma once

#include <cstddef>
#include <cstdint>

#include "serving/decoder.h"

namespace llm {

struct ContextPlan {
  size_t dropped = 0;  // oldest prompt tokens left out
  int64_t limit = 0;   // tokens the sequence may hold; 0 = unbounded
  bool slides = false;
};

ContextPlan plan_context(const GenerationRequest& request, int64_t context_length);

/// Refuses what cannot be computed: an empty prompt, ids out of range, stop strings without
/// token_bytes, a prompt that leaves no room (usage errors).
void check_request(const GenerationRequest& request, const ContextPlan& plan, int64_t vocab_size);

}  // namespace llm
