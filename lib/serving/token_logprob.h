// An id and the logarithm of its probability under the raw distribution.
#pragma once

#include <cstdint>

namespace llm {

struct TokenLogprob {
  int32_t id = -1;
  double logprob = 0;
  bool operator==(const TokenLogprob&) const = default;
};

}  // namespace llm
