// What a caller may say about one generation: length, sampling, stopping, context policy.
//
// Three sources, the strongest first: what the user said (flag, environment, config file, request
// body), the model's generation_config.json, the defaults written here. Explicit values always win;
// a default never replaces anything. `freeze` turns the merged settings into the checked,
// unchangeable form that a Decoder works from. The defaults are those of the program (temperature
// 0.8, 100 new tokens, sampling on, every filter off); `library_defaults` gives those that
// inference libraries start from (temperature 1, greedy, length unset, which becomes 20 with a
// warning).
//
// Errors name the field: out-of-range values are usage errors (exit 2), a damaged
// generation_config.json is bad input (exit 3).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llm {

class Fields;

/// Below this temperature a draw is the most probable token.
inline constexpr double kGreedyBelow = 1e-5;

struct GenerationConfig {
  std::optional<int64_t> max_new_tokens = 100;
  int64_t min_new_tokens = 0;  // neither an end-of-text id nor a stop string ends it before
  bool ignore_eos = false;     // end-of-text ids do not end the generation
  bool do_sample = true;       // false: the most probable token each time
  double temperature = 0.8;    // below 1e-5 means greedy; the filters are then without effect
  int64_t top_k = 0;           // 0 = off
  double top_p = 1.0;          // 1 = off
  double min_p = 0.0;          // 0 = off
  double repetition_penalty =
      1.0;  // over prompt and new tokens; positive logits are divided, negative ones multiplied
  double frequency_penalty = 0.0;  // subtracted once per occurrence among the new tokens
  double presence_penalty =
      0.0;                      // subtracted once from each token that occurs among the new tokens
  int64_t num_beams = 1;        // more: beam search, deterministic, the sampling settings aside
  double length_penalty = 1.0;  // of beam search: score = sum of logprobs / length ^ penalty
  bool early_stopping = false;  // of beam search: end with num_beams finished texts; else when none
                                // can become better
  int64_t num_return_sequences = 1;
  int64_t seed =
      -1;  // -1 = take one at random and report it; no row of its own: the run's `seed` key sets it
  std::vector<int64_t> eos_token_id;  // ids that end the text; lists from all sources are merged
  std::optional<int64_t> pad_token_id;
  std::vector<std::string> stop_strings;
  std::vector<std::pair<int32_t, double>> logit_bias;  // added to an id's logit; HTTP only
  int64_t num_speculative_tokens = 0;  // drafted per step, checked together; the text is the same
  bool return_probs = false;           // probability of each chosen token after the filters
  bool return_logprobs = false;  // log probability of each chosen token under the raw distribution
  bool return_input_logprobs = false;  // the same for the prompt's tokens
  int64_t top_logprobs = 0;            // the k most probable tokens in each place (with logprobs)
  bool return_text = true;
  std::string max_context_policy = "error";  // error, truncate-left, slide: what happens where
                                             // prompt + new tokens exceed the context

  void fields(Fields& f);
};

/// What inference libraries start from: max_new_tokens unset, temperature 1, do_sample false,
/// return_text false.
GenerationConfig library_defaults();

/// Reads the known keys of a generation_config.json text (trailing commas are tolerated, unknown
/// keys are ignored, JSON null = absent) into `config`, except where `is_explicit(key)` says that
/// the user set that key. eos ids are merged, also with explicit ones. `source_name` leads error
/// messages.
void adopt_model_defaults(GenerationConfig& config, std::string_view json_text,
                          std::string_view source_name,
                          const std::function<bool(std::string_view key)>& is_explicit);

/// The same from `<model_dir>/generation_config.json`, if there is one.
void adopt_model_defaults_from(GenerationConfig& config, const std::filesystem::path& model_dir,
                               const std::function<bool(std::string_view key)>& is_explicit);

/// What the model allows. vocab_size bounds every id and top_k; context_length = 0 means unbounded.
struct GenerationLimits {
  int64_t vocab_size = 0;
  int64_t context_length = 0;
  int64_t tokens = 0;  // ids below it are tokens, rows above only pad the embedding; 0 = all are
};

/// The settings after checks: cannot change any more, cheap to copy.
class FrozenGenerationConfig {
 public:
  const GenerationConfig& operator*() const { return config_; }
  const GenerationConfig* operator->() const { return &config_; }
  int64_t max_new_tokens() const { return *config_.max_new_tokens; }
  uint64_t seed() const { return seed_; }  // never -1: the seed in force
  bool greedy() const;                     // argmax: do_sample off or temperature below 1e-5
  bool ends_text(int32_t id) const;  // id is an end-of-text id, whether or not ignore_eos is set
  int64_t tokens() const { return tokens_; }  // of the limits: others are never chosen

 private:
  friend FrozenGenerationConfig freeze(GenerationConfig config, const GenerationLimits& limits,
                                       std::vector<std::string>* warnings);
  GenerationConfig config_;
  uint64_t seed_ = 0;
  int64_t tokens_ = 0;
};

/// Checks every field (usage error naming it), fills what was left open (max_new_tokens 20 with a
/// warning, pad = first eos, a random seed for -1).
FrozenGenerationConfig freeze(GenerationConfig config, const GenerationLimits& limits,
                              std::vector<std::string>* warnings = nullptr);

}  // namespace llm
