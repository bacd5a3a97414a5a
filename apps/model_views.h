// What `llm inspect` prints: tables of a model's parameters and of what it makes of a text. Each
// function returns the text of one view.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/transformer.h"
#include "model/weight_source.h"
#include "tokenizer/tokenizer.h"

namespace llm {

/// Family, sizes and costs in a few lines.
std::string config_view(const ModelConfig& config);
/// Name, shape, stored format, values and bytes of every tensor, and the sum.
std::string parameter_view(const WeightSource& weights);
/// Id, piece and bytes of each token.
std::string token_view(const Tokenizer& tokenizer, const std::string& text);
/// After each token of the text, the `count` likeliest next ones with their probabilities.
std::string logit_view(const Transformer& model, const Tokenizer& tokenizer,
                       const std::vector<int32_t>& ids, int64_t count);
/// How much each token (row) looks at each (column) in one layer: one head, or the mean of all
/// where head < 0.
std::string attention_view(const Transformer& model, const Tokenizer& tokenizer,
                           const std::vector<int32_t>& ids, int64_t layer, int64_t head);

}  // namespace llm
