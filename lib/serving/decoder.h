// Decoder: the one seam for generation. Prompts in, finished texts out, tokens reported on the way.
//
// Autoregressive generation is one Decoder; speculative decoding and masked diffusion are others
// with the same interface. A Decoder speaks token ids; the only thing it knows of text is
// `token_bytes`, through which stop strings and streaming see what an id stands for.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "serving/generation_config.h"
#include "serving/stopping.h"

namespace llm {

struct GenerationRequest {
  std::vector<int32_t> prompt_ids;  // at least one
  FrozenGenerationConfig config;
  int64_t sequence = 0;  // which of the num_return_sequences this is: same seed, other draws
  std::function<std::string(int32_t id)>
      token_bytes;  // exact bytes of an id, "" for a control id; may be empty where neither text
                    // nor stop strings are wanted
  /// Called for each new token with the text that became showable ("" while something is held
  /// back), and once more with id -1 for the rest at the end. Returning false cancels the sequence.
  std::function<bool(int32_t id, std::string_view text)> on_token;
};

struct GenerationTiming {
  double ttft_ms = 0;  // from the call to the first new token
  double tpot_ms = 0;  // (last - first) / (n - 1) between new tokens; 0 for fewer than two
  double total_ms = 0;
  double prompt_tokens_per_second = 0;
  double tokens_per_second = 0;  // new tokens after the first / their time
};

struct GenerationResult {
  std::vector<int32_t> token_ids;  // the new ones, the end-of-text id included
  std::string text;                // of the new tokens, before any stop string; valid UTF-8
  FinishReason finish_reason = FinishReason::none;
  uint64_t seed = 0;
  int64_t prompt_tokens_dropped = 0;   // by truncate-left
  std::vector<double> logprobs;        // per new token, raw distribution (return_logprobs)
  std::vector<double> probabilities;   // per new token, after the filters (return_probs)
  std::vector<double> input_logprobs;  // per prompt token but the first (return_input_logprobs)
  GenerationTiming timing;
};

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// One result per request, in their order. Each result is what the request would give alone.
  virtual std::vector<GenerationResult> generate(
      std::span<const GenerationRequest> requests) const = 0;
};

}  // namespace llm
