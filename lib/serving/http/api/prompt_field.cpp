#include "serving/http/api/prompt_field.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "serving/http/http_error.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using http::HttpError;
using nlohmann::json;

std::vector<int32_t> text_ids(const ServedModel& model, const std::string& text) {
  const Tokenizer& tokenizer = model.tokenizer();
  std::vector<int32_t> ids = tokenizer.with_template(tokenizer.encode(text));
  // An empty prompt stands where one document ended and the next begins.
  if (ids.empty()) ids.push_back(tokenizer.eos_id());
  return ids;
}

/// A row as it would be alone.
std::vector<int32_t> without_padding(const ServedModel& model, std::vector<int32_t> ids,
                                     const std::string& param) {
  const std::optional<int32_t> pad = model.padding_id();
  if (!pad) return ids;
  const std::string token = fmt::format("token {} ({})", *pad, model.token_label(*pad));
  const auto first = std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id != *pad; });
  if (first == ids.end())
    throw HttpError(400, "invalid_value",
                    fmt::format("{} holds nothing but padding, {}", param, token), param);
  if (ids.back() == *pad)
    throw HttpError(400, "invalid_value",
                    fmt::format("{} ends with padding, {}: pad on the left (padding_side=\"left\" "
                                "of a Hugging Face tokenizer) or send rows of their own lengths",
                                param, token),
                    param);
  ids.erase(ids.begin(), first);
  return ids;
}

}  // namespace

std::vector<int32_t> read_token_ids(const ServedModel& model, const json& list,
                                    const std::string& param) {
  // (Rows of a padded embedding that stand for no token of the tokenizer's are none of a prompt's.)
  const int64_t rows = std::min(model.model().vocab_size(), model.tokenizer().vocab_size());
  std::vector<int32_t> ids;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", param, i);
    if (list[i].is_number() && list[i].get<double>() >= static_cast<double>(rows))
      throw HttpError(
          400, "invalid_token",
          fmt::format("{} = {} is not below vocab_size {}", place, list[i].dump(), rows), param);
    const int64_t id = http::whole_value(list[i], 0, rows - 1, place);
    ids.push_back(static_cast<int32_t>(id));
  }
  if (ids.empty()) throw HttpError(400, "invalid_value", param + " holds no tokens", param);
  return ids;
}

std::vector<std::vector<int32_t>> read_prompts(const ServedModel& model, const json& given,
                                               const std::string& param, size_t most) {
  const auto row = [&](const json& list, const std::string& place) {
    return without_padding(model, read_token_ids(model, list, place), place);
  };
  if (given.is_string()) return {text_ids(model, given.get<std::string>())};
  if (!given.is_array() || given.empty())
    throw HttpError(400, "invalid_value",
                    param + " must be a text, a list of texts, token ids or lists of token ids",
                    param);
  if (given[0].is_number()) return {row(given, param)};
  if (given.size() > most)
    throw HttpError(400, "invalid_value", fmt::format("{}: at most {}", param, most), param);
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < given.size(); ++i) {
    const std::string place = fmt::format("{}[{}]", param, i);
    if (given[i].is_array()) {
      prompts.push_back(row(given[i], place));
    } else {
      prompts.push_back(text_ids(model, http::text_value(given[i], 10 << 20, place)));
    }
  }
  return prompts;
}

}  // namespace llm::api
