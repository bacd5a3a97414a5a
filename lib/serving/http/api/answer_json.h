// Results as OpenAI's answers spell them: finish reasons, usage, log probabilities.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "serving/http/api/served_model.h"

namespace llm::api {

using OrderedJson = nlohmann::ordered_json;

/// stop (also for a stop string), length, error, cancelled.
std::string_view openai_finish_reason(FinishReason reason);

/// One line; what is not UTF-8 becomes U+FFFD.
std::string dumped(const OrderedJson& json);

/// {...head, "choices": [...], ...tail}: choices are lines of their own, so that all of an answer
/// is never held as a tree.
std::string with_choices(const OrderedJson& head, const std::vector<std::string>& choices,
                         const OrderedJson& tail);

/// All texts of a result, best first: more than one only of a search with beams.
std::vector<const GenerationResult*> texts_of(const GenerationResult& result);

struct Usage {
  size_t prompt_tokens = 0, completion_tokens = 0, cached_tokens = 0;
  OrderedJson json() const;
};
/// Of an answer to prompts of these lengths, to each of which equally many of the results belong,
/// one behind the other. A prompt counts once, as its first result read it; all texts count.
Usage usage_of(const std::vector<GenerationResult>& results,
               const std::vector<size_t>& prompt_tokens);

/// Milliseconds a token after the first; null where there are fewer than two.
OrderedJson tpot_json(const GenerationResult& result);

/// [[{id, logprob}, ...], ...]: the most probable tokens in each place of a text, best first.
OrderedJson top_logprobs_json(const GenerationResult& result);

/// llama.cpp's `timings` of the first result.
OrderedJson timings_json(const GenerationResult& result, size_t prompt_tokens);

/// A token of /v1/completions' logprobs.
struct LabelledToken {
  int32_t id;
  double logprob;
  bool has_logprob;  // not so of the first token of an echoed prompt
  std::vector<TokenLogprob> top;
};
/// Characters that have begun in the bytes of a text's tokens: text_offset counts those, not bytes.
/// Broken bytes count as the text shows them, one U+FFFD for each maximal broken sequence.
class CharacterCount {
 public:
  void add(std::string_view bytes);
  size_t begun() const { return whole_ + (unfinished_.empty() ? 0 : 1); }

 private:
  size_t whole_ = 0;
  std::string unfinished_;  // the beginning of a character
};
/// {tokens, token_logprobs, top_logprobs, text_offset}; the chosen token is always in its dict,
/// with the same number in both places. `text`: the text before these tokens, which join it.
/// `hidden`: how many characters of the tokens the text does not begin with (decoders drop the
/// space before a text's first word).
OrderedJson completion_logprobs(const ServedModel& model, const std::vector<LabelledToken>& tokens,
                                CharacterCount& text, size_t hidden = 0);
/// An entry of chat's logprobs.content.
OrderedJson chat_logprob(const ServedModel& model, int32_t id, double logprob,
                         std::span<const TokenLogprob> top);

}  // namespace llm::api
