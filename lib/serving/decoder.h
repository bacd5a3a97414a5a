// Decoder: the one seam for generation. Prompts in, finished texts out, tokens reported on the way.
//
// Autoregressive generation is one Decoder; masked diffusion is another with the same interface. A
// Decoder speaks token ids; the only thing it knows of text is `token_bytes`, through which stop
// strings and streaming see what an id stands for.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "serving/generation_config.h"
#include "serving/stopping.h"
#include "serving/token_logprob.h"

namespace llm {

class Constraint;
class ModelAdapter;

/// A new token as it is drawn, or (id -1) the end with the rest of the text.
struct TokenEvent {
  int32_t id = -1;
  std::string_view text;              // what became showable, "" while something is held back
  double logprob = 0;                 // with return_logprobs
  std::span<const TokenLogprob> top;  // the most probable ones, best first (top_logprobs)
};

struct GenerationRequest {
  std::vector<int32_t> prompt_ids;  // at least one
  FrozenGenerationConfig config;
  int64_t sequence = 0;  // which of the num_return_sequences this is: same seed, other draws
  std::function<std::string(int32_t id)>
      token_bytes;  // exact bytes of an id, "" for a control id; may be empty where neither text
                    // nor stop strings are wanted
  /// Returning false cancels the sequence.
  std::function<bool(const TokenEvent&)> on_token;
  /// True while whoever reads the text has enough to read: it is not gone on with, and gives its
  /// place to others who wait for one. Asked by the engine before every pass. May be empty.
  std::function<bool()> is_held;
  /// Told each piece of the text as it becomes showable; true: the text is complete and ends there
  /// (FinishReason::stop). Not asked by beam search. May be empty.
  std::function<bool(std::string_view piece)> is_complete;
  /// A LoRA adapter of the model that computes this (TokenModel::adapt); null: none.
  std::shared_ptr<const ModelAdapter> adapter;
  /// Tokens that may come next, if not all (serving/constraint).
  std::shared_ptr<const Constraint> constraint;
  /// Set by anyone to end the request at the next step, wherever it is.
  std::shared_ptr<std::atomic<bool>> cancelled;
  /// Ends it as cancelled once it is over.
  std::optional<std::chrono::steady_clock::time_point> deadline;

  bool is_cancelled() const {
    return (cancelled && cancelled->load()) ||
           (deadline && std::chrono::steady_clock::now() > *deadline);
  }
};

struct GenerationTiming {
  double queue_ms = 0;  // from the call until the prompt began to be read
  double ttft_ms = 0;   // from the call to the first new token
  double tpot_ms = 0;   // (last - first) / (n - 1) between new tokens; 0 for fewer than two
  double total_ms = 0;
  double prompt_tokens_per_second = 0;  // those that were read: without dropped and cached ones
  double tokens_per_second = 0;         // new tokens after the first / their time
};

struct GenerationResult {
  std::vector<int32_t> token_ids;  // the new ones, the end-of-text id included
  std::string text;                // of the new tokens, before any stop string; valid UTF-8
  FinishReason finish_reason = FinishReason::none;
  std::string error;  // with FinishReason::error: why
  uint64_t seed = 0;
  int64_t prompt_tokens_dropped = 0;  // by truncate-left
  int64_t prompt_tokens_cached = 0;   // not computed: another request had the same beginning
  int64_t tokens_drafted = 0;         // by speculation, and how many of them were right
  int64_t tokens_accepted = 0;
  std::vector<double> logprobs;        // per new token, raw distribution (return_logprobs)
  std::vector<double> probabilities;   // per new token, after the filters (return_probs)
  std::vector<double> input_logprobs;  // per prompt token but the first (return_input_logprobs)
  /// The top_logprobs most probable ids in each new token's place, and in each prompt token's but
  /// the first.
  std::vector<std::vector<TokenLogprob>> top_logprobs, input_top_logprobs;
  double score = 0;                      // of beam search: sum of logprobs / length ^ penalty
  std::vector<GenerationResult> others;  // of beam search: the next best
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
