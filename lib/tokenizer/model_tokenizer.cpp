#include "tokenizer/model_tokenizer.h"

#include "gguf/gguf.h"
#include "tokenizer/gguf_tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

bool holds_tokenizer(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.model") || fs::exists(folder / "tokenizer.json");
}

void add_special_token(SpecialTokenTexts& tokens, const char* name, const Tokenizer& tokenizer,
                       int32_t id) {
  if (id >= 0 && id < tokenizer.vocab_size()) tokens[name] = tokenizer.token_text(id);
}

fs::path template_place(const fs::path& named) {
  const fs::path model =
      fs::is_regular_file(named) ? named.parent_path() : named;  // tokenizer.json
  return ChatTemplate::exists(model) ? model : tokenizer_place(model);
}

}  // namespace

fs::path tokenizer_place(const fs::path& model) {
  if (fs::is_regular_file(model) || holds_tokenizer(model) ||
      !holds_tokenizer(model.parent_path())) {
    return model;
  }
  return model.parent_path();
}

std::unique_ptr<const Tokenizer> open_model_tokenizer(const fs::path& model,
                                                      const std::string& named) {
  const fs::path place = named.empty() ? tokenizer_place(model) : fs::path(named);
  return is_gguf_file(place) ? load_gguf_tokenizer(place) : load_tokenizer(place);
}

bool has_tokenizer(const fs::path& model) {
  return is_gguf_file(model) ? gguf_has_tokenizer(*Gguf::open(model))
                             : holds_tokenizer(tokenizer_place(model));
}

std::string model_chat_template(const fs::path& model) {
  if (is_gguf_file(model)) return gguf_chat_template(*Gguf::open(model));
  const fs::path folder = template_place(model);
  return ChatTemplate::exists(folder) ? ChatTemplate::load(folder).source() : "";
}

std::optional<ChatTemplate> open_chat_template(const fs::path& model, const Tokenizer& tokenizer) {
  if (!is_gguf_file(model)) {
    const fs::path folder = template_place(model);
    if (!ChatTemplate::exists(folder)) return std::nullopt;
    return ChatTemplate::load(folder, special_tokens_of(tokenizer));
  }
  const std::string source = model_chat_template(model);
  if (source.empty()) return std::nullopt;
  return ChatTemplate::parse(source, special_tokens_of(tokenizer));
}

bool begins_texts_with_bos(const Tokenizer& tokenizer) {
  const std::vector<int32_t> around = tokenizer.with_template({});
  return !around.empty() && around.front() == tokenizer.bos_id();
}

SpecialTokenTexts special_tokens_of(const Tokenizer& tokenizer) {
  SpecialTokenTexts tokens;
  add_special_token(tokens, "bos_token", tokenizer, tokenizer.bos_id());
  add_special_token(tokens, "eos_token", tokenizer, tokenizer.eos_id());
  add_special_token(tokens, "unk_token", tokenizer, tokenizer.unk_id());
  add_special_token(tokens, "pad_token", tokenizer, tokenizer.pad_id());
  return tokens;
}

}  // namespace llm
