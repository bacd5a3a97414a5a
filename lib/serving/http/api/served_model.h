// What a server answers with: one model, its tokenizer and template, and the engine that runs it.
//
// Everything but the engine's queue, the adapters and the count of seeds is constant. Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "serving/constraint/kept_grammars.h"
#include "serving/http/api/adapter_set.h"
#include "serving/engine_thread.h"
#include "serving/generation_config.h"
#include "tokenizer/chat_encoder.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace llm::api {

struct ServedModelOptions {
  std::string name;                 // what requests call it
  std::filesystem::path directory;  // for the chat template
  GenerationConfig defaults;        // of requests that do not say otherwise
  int64_t max_model_len = 0;        // tokens of prompt and answer; 0 = the model's context
  int64_t seed = -1;                // of the seeds of requests that bring none; -1 = a fresh one
  int64_t queue_size = 64;
  std::chrono::milliseconds request_timeout{0};  // for one answer; 0 = no limit
  int64_t parameters = 0;
  std::string dtype = "float32", device = "cpu";  // what the model runs on
  std::string quantization = "none";              // codes that its weights are rounded to
  AdapterSet::Open open_adapter;                  // empty: the model takes none
  std::string default_model;  // of requests that name none: `name` or an adapter's; empty: `name`
  std::filesystem::path adapter_folder;  // what clients may load adapters from; empty: nothing
};

/// Told of every token and every answer, from the engine's thread; of fields that no route knows,
/// from any.
struct ServingObserver {
  std::function<void()> token = [] {};  // as it is drawn; not of a beam search
  std::function<void(double seconds)> between_tokens = [](double) {};
  /// told: how many of its tokens token() has told of.
  std::function<void(const GenerationResult&, size_t prompt_tokens, size_t told)> ended =
      [](const GenerationResult&, size_t, size_t) {};
  std::function<void(const std::string& name)> unknown_field = [](const std::string&) {};
};

/// The ids of a tokenizer as a grammar sees them, for a model with `rows` of them: what is special,
/// or lies past the tokenizer, is never text.
std::shared_ptr<const TokenVocabulary> vocabulary_of(const Tokenizer& tokenizer, int64_t rows,
                                                     std::span<const int32_t> end_ids);

class ServedModel {
 public:
  /// Keeps references to model and tokenizer.
  ServedModel(const TokenModel& model, const Tokenizer& tokenizer, ServedModelOptions options,
              EngineOptions engine);

  const std::string& name() const { return options_.name; }
  /// What requests are answered by that name no model.
  const std::string& default_name() const {
    return options_.default_model.empty() ? options_.name : options_.default_model;
  }
  const ServedModelOptions& options() const { return options_; }
  const TokenModel& model() const { return model_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  EngineThread& engine() const { return *engine_; }
  AdapterSet& adapters() { return adapters_; }
  const AdapterSet& adapters() const { return adapters_; }
  std::time_t created() const { return created_; }
  int64_t max_model_len() const { return max_model_len_; }
  /// The most that a request may ask for: as many as the context holds, sixteen times that where it
  /// slides; 0 = no limit.
  int64_t most_new_tokens() const;
  /// True where prompts longer than the context are cut by the context policy instead of refused.
  bool cuts_prompts() const { return options_.defaults.max_context_policy != "error"; }
  /// A seed for a request that brings none: the same row of them after every start with a seed.
  int64_t next_seed() const;
  const std::vector<int32_t>& end_ids() const { return end_ids_; }
  /// What rows of a batch are filled up with; nothing where that token also begins or ends texts.
  std::optional<int32_t> padding_id() const { return padding_id_; }

  const ChatTemplate* chat_template() const { return template_ ? &*template_ : nullptr; }
  /// A chat as ids, by the template. Throws HttpError 400 where it refuses or there is none.
  std::vector<int32_t> encode_chat(const nlohmann::ordered_json& messages,
                                   const nlohmann::ordered_json& tools, bool generation_prompt,
                                   std::string* text = nullptr) const;
  /// The exact bytes of an id; "" for control ids and rows without a token.
  std::string token_bytes(int32_t id) const;
  /// Texts under which an id stands in logprobs: its own if that is unique, else "bytes:\xe2" or
  /// "token_id:7".
  std::string token_label(int32_t id) const;
  /// Before the first request only.
  void set_observer(ServingObserver observer) { observer_ = std::move(observer); }
  const ServingObserver& observer() const { return observer_; }
  /// The beginning of a text that keeps to a grammar; masks of the last grammars are kept.
  std::shared_ptr<const Constraint> constraint(const std::shared_ptr<const Grammar>& grammar) const;

 private:
  const TokenModel& model_;
  const Tokenizer& tokenizer_;
  ServedModelOptions options_;
  int64_t max_model_len_;
  uint64_t seed_;
  mutable std::atomic<uint64_t> seeds_drawn_{0};
  std::time_t created_;
  AdapterSet adapters_;
  std::vector<int32_t> end_ids_;
  std::optional<int32_t> padding_id_;
  std::optional<ChatTemplate> template_;
  ChatEncoder encoder_;
  std::vector<bool> shares_text_;  // ids whose text stands for another id
  mutable KeptGrammars grammars_;
  ServingObserver observer_;
  std::unique_ptr<EngineThread> engine_;
};

}  // namespace llm::api
