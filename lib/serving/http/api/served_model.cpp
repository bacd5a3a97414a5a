#include "serving/http/api/served_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_map>

#include "base/random.h"
#include "base/utf8.h"
#include "serving/http/http_error.h"
#include "tokenizer/chat_inputs.h"
#include "tokenizer/model_tokenizer.h"

namespace llm::api {

std::shared_ptr<const TokenVocabulary> vocabulary_of(const Tokenizer& tokenizer, int64_t rows,
                                                     std::span<const int32_t> end_ids) {
  std::vector<std::string> tokens(static_cast<size_t>(rows));
  for (int32_t id = 0; id < std::min(rows, tokenizer.vocab_size()); ++id) {
    if (!tokenizer.is_special(id)) tokens[static_cast<size_t>(id)] = tokenizer.token_bytes(id);
  }
  return std::make_shared<const TokenVocabulary>(tokens, end_ids);
}

namespace {

/// The tokenizer's padding, which is what batches are made with, else the model's.
std::optional<int32_t> padding_of(const Tokenizer& tokenizer, const GenerationConfig& defaults,
                                  std::span<const int32_t> end_ids) {
  const auto pad = tokenizer.pad_id() >= 0
                       ? tokenizer.pad_id()
                       : static_cast<int32_t>(defaults.pad_token_id.value_or(-1));
  const bool own = pad >= 0 && pad != tokenizer.bos_id() && pad != tokenizer.eos_id() &&
                   std::find(end_ids.begin(), end_ids.end(), pad) == end_ids.end();
  return own ? std::optional(pad) : std::nullopt;
}

/// The ids whose text is another's, too, which it stands for: the one that the text is encoded as,
/// or that is no byte's, and those come first. ("=" may be a piece and a byte token.)
std::vector<bool> ids_that_share_text(const Tokenizer& tokenizer) {
  std::vector<bool> shares(static_cast<size_t>(tokenizer.vocab_size()));
  std::unordered_map<std::string_view, int32_t> owners;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id)) continue;
    const std::string_view text = tokenizer.token_bytes(id);
    const auto [owner, is_first] = owners.try_emplace(text, id);
    if (is_first) continue;
    const std::vector<int32_t> encoded = tokenizer.encode(text);
    const bool stays = encoded.size() == 1 && encoded[0] == owner->second;
    shares[static_cast<size_t>(stays ? id : owner->second)] = true;
    if (!stays) owner->second = id;
  }
  return shares;
}

}  // namespace

ServedModel::ServedModel(const TokenModel& model, const Tokenizer& tokenizer,
                         ServedModelOptions options, EngineOptions engine)
    : model_(model),
      tokenizer_(tokenizer),
      options_(std::move(options)),
      max_model_len_(options_.max_model_len > 0 ? options_.max_model_len : model.context_length()),
      seed_(options_.seed < 0 ? fresh_seed() : static_cast<uint64_t>(options_.seed)),
      created_(std::time(nullptr)),
      adapters_(options_.name, options_.open_adapter, options_.adapter_folder),
      end_ids_(options_.defaults.eos_token_id.begin(), options_.defaults.eos_token_id.end()),
      padding_id_(padding_of(tokenizer, options_.defaults, end_ids_)),
      encoder_(tokenizer),
      shares_text_(ids_that_share_text(tokenizer)),
      grammars_(vocabulary_of(tokenizer, model.vocab_size(), end_ids_)) {
  template_ = open_chat_template(options_.directory, tokenizer);
  engine.max_model_len = max_model_len_;
  engine_ = std::make_unique<EngineThread>(model, std::move(engine), options_.queue_size);
}

int64_t ServedModel::most_new_tokens() const {
  constexpr int64_t kContextsOfOneText = 16;  // an endless one would hold its place for ever
  const bool slides = options_.defaults.max_context_policy == "slide";
  return slides ? max_model_len_ * kContextsOfOneText : max_model_len_;
}

int64_t ServedModel::next_seed() const {
  return static_cast<int64_t>(combine_keys(seed_, seeds_drawn_++) >> 11);  // 53 bits survive JSON
}

std::vector<int32_t> ServedModel::encode_chat(const nlohmann::ordered_json& messages,
                                              const nlohmann::ordered_json& tools,
                                              bool generation_prompt, std::string* text) const {
  if (!template_)
    throw http::HttpError(400, "invalid_value",
                          "this model has no chat template; use /v1/completions", "messages");
  ChatInputs inputs;
  inputs.messages = messages;
  inputs.tools = tools;
  inputs.add_generation_prompt = generation_prompt;
  try {
    const RenderedChat chat = template_->render(inputs);
    if (text != nullptr) *text = chat.text;
    return encoder_.encode(chat);
  } catch (const Error& error) {
    throw http::HttpError(400, "invalid_value", error.message(), "messages");
  }
}

std::string ServedModel::token_bytes(int32_t id) const {
  if (id < 0 || id >= tokenizer_.vocab_size() || tokenizer_.is_special(id)) return {};
  return std::string(tokenizer_.token_bytes(id));
}

std::string ServedModel::token_label(int32_t id) const {
  if (id >= tokenizer_.vocab_size()) return fmt::format("token_id:{}", id);
  if (tokenizer_.is_special(id)) return std::string(tokenizer_.token_text(id));
  const std::string_view bytes = tokenizer_.token_bytes(id);
  if (!bytes.empty() && utf8::is_valid(bytes)) {
    if (!shares_text_[static_cast<size_t>(id)]) return std::string(bytes);
    return fmt::format("token_id:{}", id);
  }
  std::string label = "bytes:";
  for (const char byte : bytes) label += fmt::format("\\x{:02x}", static_cast<uint8_t>(byte));
  return label;
}

std::shared_ptr<const Constraint> ServedModel::constraint(
    const std::shared_ptr<const Grammar>& grammar) const {
  return std::make_shared<const Constraint>(grammars_.find(grammar));
}

}  // namespace llm::api
