// The prompts of a request body: text or token ids, one or several.
//
// Rows of ids may come from a batch that was padded. Where the model has a padding token that is
// neither its beginning nor an end of text, padding before a row is dropped, so that the row is
// what it is alone, and padding behind a row is refused: the text would go on after it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "serving/http/api/served_model.h"

namespace llm::api {

inline constexpr size_t kMostPrompts = 256;  // of one request for text

/// The prompts of a field, at most so many. HttpError 400 naming the field, or the row of it, that
/// is wrong.
std::vector<std::vector<int32_t>> read_prompts(const ServedModel& model,
                                               const nlohmann::json& given,
                                               const std::string& param,
                                               size_t most = kMostPrompts);

/// A list of ids as it stands, padding and all; at least one, each the model's. HttpError 400.
std::vector<int32_t> read_token_ids(const ServedModel& model, const nlohmann::json& list,
                                    const std::string& param);

}  // namespace llm::api
