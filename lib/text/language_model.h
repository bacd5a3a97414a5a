// A language model as a C++ object: open it, give it a text or a conversation, get what follows.
//
//   llm::LanguageModel model("path/to/model");
//   llm::GenerationConfig config = model.generation_defaults();
//   config.max_new_tokens = 50;
//   std::cout << model.generate("Once upon a time", config).text;
//
// It runs what `llm generate` and `llm chat` run: the same request gives the same ids, whichever
// model it is, and a request says all there is to say (no state but memory of keys and values, by
// which what an earlier prompt had in common is not computed again: a conversation can be given
// whole each time). LibTorch is loaded only for models that do not run packed.
//
// This header needs none of the libraries underneath; docs/cpp.md tells how programs are built with
// it. Errors are llm::Error (base/error.h), a std::exception whose what() names subject, rule and
// value; warnings go to stderr. Texts are UTF-8. One thread at a time per object; objects are
// independent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/generation_config.h"
#include "serving/inference_config.h"

namespace llm {

struct LanguageModelOptions {
  std::string tokenizer_path = {};   // "": the model's own
  std::string adapter = {};          // directory of a LoRA adapter (PEFT's layout); "": none
  std::string base_model_path = {};  // where the model is an adapter; "": the base that it names
  std::string device = "auto";       // auto, cpu, cuda, cuda:N
  std::string dtype = "auto";        // auto is as stored; float32, bfloat16, float16
  int threads = 0;                   // 0: all cores; with LibTorch the number of the whole process
  std::string encryption_key_file = {};  // of encrypted weights (formats.md); "": none
  /// Batching, memory, speculation, quantisation. Absent: memory for one whole context, and for
  /// generate_all as much as its texts need.
  std::optional<InferenceConfig> inference = {};
};

/// From a YAML or JSON file: its section `inference`, or its top level. Error(usage) naming file,
/// line and column.
InferenceConfig load_inference_config(const std::string& file);

struct GeneratedText {
  std::vector<int32_t> ids;   // those of the prompt, then the new ones, the end of text included
  size_t prompt_tokens = 0;   // how many of them are the prompt's
  std::string text;           // of the new ones
  std::string finish_reason;  // stop, length, stop_string, cancelled
  uint64_t seed = 0;          // by which the same text comes again
  double first_token_ms = 0;
  double tokens_per_second = 0;  // after the first
  int64_t cached_tokens = 0;     // of the prompt, that an earlier request had in common
  int64_t drafted_tokens = 0;    // guessed by speculation, and how many of them were right
  int64_t accepted_tokens = 0;

  std::span<const int32_t> new_ids() const { return std::span(ids).subspan(prompt_tokens); }
};

struct ChatMessage {
  std::string role;  // system, user, assistant, or another that the chat template knows
  std::string content;
};

class LanguageModel {
 public:
  /// Told each piece of the text, whole characters of it, as it is written; together they are the
  /// text. Returning false ends it there, as "cancelled". What it throws, the call throws. It must
  /// not ask the same object (Error usage).
  using OnText = std::function<bool(std::string_view piece)>;

  /// model_path: all that --model-path may be: a run directory, a checkpoint, a Hugging Face
  /// directory, a .gguf file, the name of a model in the hub's cache.
  explicit LanguageModel(const std::string& model_path, const LanguageModelOptions& options = {});
  ~LanguageModel();
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;

  /// The program's defaults, changed by the model's generation_config.json, with the tokenizer's
  /// end of text; with use_speculative_decoding its num_speculative_tokens. What the calls below do
  /// unless told otherwise.
  GenerationConfig generation_defaults() const;

  /// The text after a prompt. One text: num_return_sequences must be 1.
  GeneratedText generate(std::string_view prompt, const OnText& on_text = {});
  GeneratedText generate(std::string_view prompt, const GenerationConfig& config,
                         const OnText& on_text = {});
  GeneratedText generate(const std::vector<int32_t>& prompt_ids, const GenerationConfig& config,
                         const OnText& on_text = {});
  /// All prompts together, `at_once` of them in flight (0: 8; with options.inference as that says,
  /// and nothing else); num_return_sequences texts for each, in order. Each is what it would be
  /// alone.
  std::vector<GeneratedText> generate_all(const std::vector<std::string>& prompts,
                                          const GenerationConfig& config, int64_t at_once = 0);

  /// The reply to the last of the messages, by the model's chat template; without one they are one
  /// plain text (tokenizer/chat_prompt.h).
  GeneratedText chat(const std::vector<ChatMessage>& messages, const GenerationConfig& config,
                     const OnText& on_text = {});
  bool has_chat_template() const;

  /// The ids that generate() makes of a prompt.
  std::vector<int32_t> encode(std::string_view text) const;
  std::string decode(std::span<const int32_t> ids) const;

  int64_t vocab_size() const;
  int64_t context_length() const;  // tokens of prompt and text; 0 = no bound
  int64_t parameters() const;
  const std::string& device() const;  // "cpu", "cuda:0"
  const std::string& dtype() const;   // what it computes with: "bfloat16"

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace llm
