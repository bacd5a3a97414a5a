// How texts are computed, for programs that embed the engine: keys of batching, memory, speculation
// and quantisation, with defaults of their own.
//
//   llm::InferenceConfig config;  // or llm::load_inference_config("inference.yaml")
//   config.max_num_blocks = 512;
//   llm::LanguageModel model("path/to/model", {.inference = config});
//
// Every key changes something, or a value that cannot be had is refused by name (Error(usage),
// exit 2). In files they stand in a section `inference`, or at the top level.
#pragma once

#include <cstdint>
#include <string>

namespace llm {

class Fields;
class TokenModel;
struct EngineOptions;

struct InferenceConfig {
  int64_t batch_size = 1;               // texts at a time where batching is not continuous
  bool use_continuous_batching = true;  // texts join whenever there is room; false: batch_size of
                                        // them together, and the next when all have ended
  int64_t max_batch_size = 128;         // texts in flight, at most
  bool use_paged_attention = true;      // keys and values in blocks, taken as they fill and shared;
                                        // false: a whole context for each text at once
  int64_t block_size = 16;              // tokens of a block; 16 only
  int64_t max_num_blocks = 2048;        // for the keys and values of all texts
  bool use_speculative_decoding = false;
  std::string draft_model_path;        // guesses ahead; "": what the text has said before does
  int64_t num_speculative_tokens = 5;  // guessed in a step and checked together
  int64_t num_parallel_tokens = 64;    // at most, in one pass of a draft that guesses in parallel
  std::string quantization = "none";   // of weights: none, int8, fp8, int4
  int64_t tensor_parallel_size = 1;    // 1 only: one process computes the model
  int64_t pipeline_parallel_size = 1;

  void fields(Fields& f);
};

/// What the keys of a config say, in the words of an engine.
struct InferencePlan {
  bool continuous_batching = true;
  int64_t max_batch_size = 0;      // texts in flight
  std::string kv_layout;           // KvPoolOptions::layout
  int64_t kv_tokens = 0;           // of the keys and values of all texts
  int64_t speculative_tokens = 0;  // guessed in a step; 0: none
};
InferencePlan plan_of(const InferenceConfig& config);

/// Throws Error(usage) at the first value that is out of range, has no effect beside the others, or
/// cannot be had: what load_inference_config (text/language_model.h) refuses in a file, for a
/// struct that was filled by hand.
void check_inference_config(const InferenceConfig& config);

/// The engine for a model, drafter aside. Error(usage) where memory or layout do not fit the model.
EngineOptions engine_options(const InferenceConfig& config, const TokenModel& model);

}  // namespace llm
