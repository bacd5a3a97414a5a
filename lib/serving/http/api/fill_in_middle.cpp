#include "serving/http/api/fill_in_middle.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "serving/http/api/prompt_field.h"

namespace llm::api {
namespace {

struct NamesOfThree {
  std::string_view prefix, suffix, middle;
};

constexpr std::array<NamesOfThree, 7> kNamesOfThree = {{
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},  // Qwen 2.5 Coder, CodeGemma
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},        // StarCoder, Granite
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},        // SantaCoder
    {"<PRE>", "<SUF>", "<MID>"},
    {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>"},  // Code Llama
    {"[PREFIX]", "[SUFFIX]", "[MIDDLE]"},           // Codestral
    // DeepSeek Coder: begin, hole, end
    {"<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>"},
}};

/// The ids of a text that goes on from something: without the space that some tokenizers put
/// before every text.
std::vector<int32_t> ids_of_the_rest(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<int32_t> ids = tokenizer.encode(text);
  size_t bytes = 0;
  for (const int32_t id : ids) bytes += tokenizer.token_bytes(id).size();
  if (bytes == text.size()) return ids;
  constexpr std::string_view kBefore = "\n";
  const std::vector<int32_t> before = tokenizer.encode(kBefore);
  std::vector<int32_t> both = tokenizer.encode(std::string(kBefore) + std::string(text));
  if (both.size() < before.size() || !std::equal(before.begin(), before.end(), both.begin()))
    return ids;
  both.erase(both.begin(), both.begin() + std::ssize(before));
  return both;
}

}  // namespace

std::optional<FillInMiddle> fill_in_middle_of(const Tokenizer& tokenizer, int64_t vocab_size) {
  for (const NamesOfThree& names : kNamesOfThree) {
    const auto prefix = tokenizer.find_token(names.prefix),
               suffix = tokenizer.find_token(names.suffix),
               middle = tokenizer.find_token(names.middle);
    if (!prefix || !suffix || !middle) continue;
    if (std::max({*prefix, *suffix, *middle}) < vocab_size)
      return FillInMiddle{*prefix, *suffix, *middle};
  }
  return std::nullopt;
}

std::vector<int32_t> fill_in_middle_prompt(const Tokenizer& tokenizer, const FillInMiddle& tokens,
                                           std::string_view beginning, std::string_view end) {
  std::vector<int32_t> ids = {tokens.prefix};
  const auto append = [&](const std::vector<int32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  append(tokenizer.encode(beginning));
  ids.push_back(tokens.suffix);
  append(ids_of_the_rest(tokenizer, end));
  ids.push_back(tokens.middle);
  return tokenizer.with_template(std::move(ids));
}

std::vector<std::vector<int32_t>> read_fill_in_middle(const ServedModel& model,
                                                      const http::FieldReader& body) {
  const auto tokens = fill_in_middle_of(model.tokenizer(), model.model().vocab_size());
  if (!tokens)
    body.refuse("suffix", "suffix needs a model with fill-in-the-middle tokens; this one has none");
  if (body.flag("echo", false)) body.refuse("echo", "echo has no meaning with suffix");
  const std::string end = body.text("suffix", "");
  const nlohmann::json& given = body.require("prompt");
  const nlohmann::json texts = given.is_array() ? given : nlohmann::json::array({given});
  if (texts.empty() || texts.size() > kMostPrompts)
    body.refuse("prompt", fmt::format("prompt: 1 to {} texts", kMostPrompts));
  std::vector<std::vector<int32_t>> prompts;
  for (const nlohmann::json& text : texts) {
    if (!text.is_string())
      body.refuse("prompt", "prompt must be a text or a list of texts where there is a suffix");
    prompts.push_back(
        fill_in_middle_prompt(model.tokenizer(), *tokens, text.get_ref<const std::string&>(), end));
  }
  return prompts;
}

}  // namespace llm::api
