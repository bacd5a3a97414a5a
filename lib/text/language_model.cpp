#include "text/language_model.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/config.h"
#include "base/encryption_key.h"
#include "base/error.h"
#include "serving/autoregressive.h"
#include "serving/conversation_engine.h"
#include "serving/engine.h"
#include "text/draft_model.h"
#include "text/text_model.h"
#include "tokenizer/chat_prompt.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {

struct LanguageModel::Parts {
  TextModel text;
  std::optional<InferenceConfig> inference;
  DraftModel draft;
  ConversationEngine engine;
  std::optional<ChatPrompts> chat;  // made when first asked for
  bool writing = false;

  explicit Parts(TextModel model) : text(std::move(model)), engine(*text.loaded.model) {}
  Parts(TextModel model, DraftModel drafts, const InferenceConfig& config)
      : text(std::move(model)),
        inference(config),
        draft(std::move(drafts)),
        engine(*text.loaded.model, engine_with(config)) {}
  static std::unique_ptr<Parts> open(const std::string& path, const LanguageModelOptions& options);

  EngineOptions engine_with(const InferenceConfig& config) const {
    EngineOptions options = engine_options(config, *text.loaded.model);
    options.make_drafter = draft.make;
    return options;
  }

  const ChatPrompts& prompts() {
    if (!chat)
      chat.emplace(*text.tokenizer, open_chat_template(text.loaded.directory, *text.tokenizer));
    return *chat;
  }
  GeneratedText generate_one(std::vector<int32_t> ids, const GenerationConfig& config,
                             const OnText& on_text);
};

namespace {

/// One text at a time: a call from on_text would find the engine in the middle of a pass.
class Turn {
 public:
  explicit Turn(bool& writing) : writing_(writing) {
    check(!writing, "a LanguageModel is asked from its own on_text; ask another one, or later");
    writing_ = true;
  }
  ~Turn() { writing_ = false; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  bool& writing_;
};

GeneratedText generated_text(std::vector<int32_t> prompt_ids, GenerationResult result) {
  GeneratedText generated;
  generated.prompt_tokens = prompt_ids.size();
  generated.ids = std::move(prompt_ids);
  generated.ids.insert(generated.ids.end(), result.token_ids.begin(), result.token_ids.end());
  generated.text = std::move(result.text);
  generated.finish_reason = finish_reason_name(result.finish_reason);
  generated.seed = result.seed;
  generated.first_token_ms = result.timing.ttft_ms;
  generated.tokens_per_second = result.timing.tokens_per_second;
  generated.cached_tokens = result.prompt_tokens_cached;
  generated.drafted_tokens = result.tokens_drafted;
  generated.accepted_tokens = result.tokens_accepted;
  return generated;
}

/// Tells pieces as they come; the first refusal is the last call.
std::function<bool(const TokenEvent&)> telling(const LanguageModel::OnText& on_text) {
  if (!on_text) return {};
  return [&on_text, going = true](const TokenEvent& event) mutable {
    if (going && !event.text.empty()) going = on_text(event.text);
    return going;
  };
}

}  // namespace

GeneratedText LanguageModel::Parts::generate_one(std::vector<int32_t> ids,
                                                 const GenerationConfig& config,
                                                 const OnText& on_text) {
  check(config.num_return_sequences == 1,
        "generate: one text at a time, not num_return_sequences {}; generate_all gives several",
        config.num_return_sequences);
  const FrozenGenerationConfig frozen = freeze_for(text, config);
  const Turn turn(writing);
  GenerationRequest request = std::move(text_requests({&ids, 1}, frozen, text)[0]);
  request.on_token = telling(on_text);
  GenerationResult result =
      config.num_beams > 1 && !inference  // whose memory is another for each number of beams
          ? std::move(Autoregressive(*text.loaded.model).generate({&request, 1})[0])
          : engine.generate(std::move(request));
  return generated_text(std::move(ids), std::move(result));
}

std::unique_ptr<LanguageModel::Parts> LanguageModel::Parts::open(
    const std::string& path, const LanguageModelOptions& options) {
  const std::optional<InferenceConfig>& config = options.inference;
  check(options.threads >= 0, "LanguageModelOptions: threads {} must be at least 0",
        options.threads);
  if (config) check_inference_config(*config);
  const TokenModelOptions as_stored = {.device = options.device,
                                       .dtype = options.dtype,
                                       .threads = options.threads,
                                       .key = read_encryption_key(options.encryption_key_file)};
  TokenModelOptions tokens = as_stored;
  if (config) tokens.quantize = config->quantization;
  TextModel text = open_text_model({.model = path,
                                    .tokenizer = options.tokenizer_path,
                                    .adapter = options.adapter,
                                    .base_model = options.base_model_path},
                                   tokens);
  if (!config) return std::make_unique<Parts>(std::move(text));
  DraftModel draft = prompt_lookup();
  if (!config->draft_model_path.empty())
    draft = draft_with(open_text_model({.model = config->draft_model_path}, as_stored), text,
                       config->num_parallel_tokens);
  return std::make_unique<Parts>(std::move(text), std::move(draft), *config);
}

LanguageModel::LanguageModel(const std::string& model_path, const LanguageModelOptions& options)
    : parts_(Parts::open(model_path, options)) {}
LanguageModel::~LanguageModel() = default;
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;

InferenceConfig load_inference_config(const std::string& file) {
  InferenceConfig config;
  Fields fields;
  fields.top_level_means("inference");
  fields.section("inference", config);
  fields.apply_file(file);
  fields.finish();
  return config;
}

GenerationConfig LanguageModel::generation_defaults() const {
  GenerationConfig config =
      with_model_defaults({}, parts_->text, [](std::string_view) { return false; });
  if (parts_->inference)
    config.num_speculative_tokens = plan_of(*parts_->inference).speculative_tokens;
  return config;
}

GeneratedText LanguageModel::generate(std::string_view prompt, const OnText& on_text) {
  return generate(prompt, generation_defaults(), on_text);
}

GeneratedText LanguageModel::generate(std::string_view prompt, const GenerationConfig& config,
                                      const OnText& on_text) {
  return parts_->generate_one(encode(prompt), config, on_text);
}

GeneratedText LanguageModel::generate(const std::vector<int32_t>& prompt_ids,
                                      const GenerationConfig& config, const OnText& on_text) {
  return parts_->generate_one(prompt_ids, config, on_text);
}

std::vector<GeneratedText> LanguageModel::generate_all(const std::vector<std::string>& prompts,
                                                       const GenerationConfig& config,
                                                       int64_t at_once) {
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& prompt : prompts) ids.push_back(encode(prompt));
  const FrozenGenerationConfig frozen = freeze_for(parts_->text, config);
  check(at_once == 0 || !parts_->inference,
        "generate_all: at_once {} has no effect beside options.inference", at_once);
  const Turn turn(parts_->writing);
  std::vector<GenerationRequest> requests = text_requests(ids, frozen, parts_->text);
  std::vector<GenerationResult> results =
      parts_->inference ? parts_->engine.generate_all(std::move(requests))
                        : Autoregressive(*parts_->text.loaded.model, at_once > 0 ? at_once : 8)
                              .generate(requests);
  results = texts_in_order(std::move(results));
  std::vector<GeneratedText> all;
  const auto per_prompt = static_cast<size_t>(config.num_return_sequences);
  for (size_t i = 0; i < results.size(); ++i)
    all.push_back(generated_text(ids[i / per_prompt], std::move(results[i])));
  return all;
}

GeneratedText LanguageModel::chat(const std::vector<ChatMessage>& messages,
                                  const GenerationConfig& config, const OnText& on_text) {
  check(!messages.empty(), "chat: there is no message to reply to");
  auto json = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages)
    json.push_back({{"role", message.role}, {"content", message.content}});
  return parts_->generate_one(parts_->prompts().prompt(std::move(json)).ids, config, on_text);
}

bool LanguageModel::has_chat_template() const { return parts_->prompts().has_template(); }

std::vector<int32_t> LanguageModel::encode(std::string_view text) const {
  return encode_prompt(*parts_->text.tokenizer, text);
}

std::string LanguageModel::decode(std::span<const int32_t> ids) const {
  return parts_->text.tokenizer->decode(ids);
}

int64_t LanguageModel::vocab_size() const { return parts_->text.loaded.config.vocab_size; }
int64_t LanguageModel::context_length() const {
  return parts_->text.loaded.model->context_length();
}
int64_t LanguageModel::parameters() const { return parts_->text.loaded.parameters; }
const std::string& LanguageModel::device() const { return parts_->text.loaded.device; }
const std::string& LanguageModel::dtype() const { return parts_->text.loaded.dtype; }

}  // namespace llm
