// The Decoder that writes one token after the other: an Engine of its own, run to the end.
//
// At most `max_batch` requests are in flight together; a request's result is the same alone and in
// any company. What the context policy does is told in context_plan.h.
#pragma once

#include <functional>
#include <memory>

#include "serving/decoder.h"
#include "serving/draft.h"
#include "serving/token_model.h"

namespace llm {

class Autoregressive final : public Decoder {
 public:
  /// Keeps a reference to the model. `max_batch` sequences at most are in flight together.
  using MakeDrafter = std::function<std::unique_ptr<Drafter>(const GenerationRequest&)>;
  explicit Autoregressive(const TokenModel& model, int64_t max_batch = 8,
                          MakeDrafter make_drafter = {});
  std::vector<GenerationResult> generate(
      std::span<const GenerationRequest> requests) const override;

 private:
  const TokenModel& model_;
  int64_t max_batch_;
  MakeDrafter make_drafter_;
};

}  // namespace llm
