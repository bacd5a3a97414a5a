#include "training/training_memory.h"

namespace llm {

int64_t least_training_bytes(int64_t parameters, std::string_view precision,
                             std::string_view optimizer) {
  constexpr int64_t kMoment = 4;
  const bool mixed = precision.ends_with("-mixed");
  const int64_t weight = precision == "bf16-true" ? 2 : 4;
  int64_t moments = 0;
  if (optimizer == "adamw") moments = 2;
  if (optimizer == "lion" || optimizer == "sgd" || optimizer == "muon") moments = 1;
  return parameters * (2 * weight + (mixed ? 2 : 0) + moments * kMoment);
}

}  // namespace llm
