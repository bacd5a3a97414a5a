// Fill in the middle: a completion between `prompt` and `suffix`, for models that were trained so.
//
// Such a model has three special tokens, which stand before the text's beginning, before its end
// and before the middle that it writes (Bavarian et al. 2022, https://arxiv.org/abs/2207.14255, the
// prefix-suffix-middle order): "<PRE> beginning <SUF> end <MID>". Which three they are follows from
// the names in the tokenizer. Their spelling inside the texts stays text. Pure functions.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "serving/http/api/served_model.h"
#include "serving/http/json_body.h"

namespace llm::api {

struct FillInMiddle {
  int32_t prefix = -1, suffix = -1, middle = -1;
};

/// The tokens of a model with so many ids; nothing where it lacks one of the three.
std::optional<FillInMiddle> fill_in_middle_of(const Tokenizer& tokenizer, int64_t vocab_size);

/// The prompt, inside what the tokenizer puts around every text.
std::vector<int32_t> fill_in_middle_prompt(const Tokenizer& tokenizer, const FillInMiddle& tokens,
                                           std::string_view beginning, std::string_view end);

/// The prompts of a body that has a suffix: its "prompt" is a text or a list of texts. 400 naming
/// `suffix` where the model has no such tokens, `prompt` where that holds token ids, `echo`.
std::vector<std::vector<int32_t>> read_fill_in_middle(const ServedModel& model,
                                                      const http::FieldReader& body);

}  // namespace llm::api
