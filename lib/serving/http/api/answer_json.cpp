#include "serving/http/api/answer_json.h"

#include <algorithm>
#include <limits>

#include "base/utf8.h"

namespace llm::api {
namespace {

/// JSON has no -inf: the least double stands for it.
double finite(double logprob) { return std::max(logprob, std::numeric_limits<double>::lowest()); }

OrderedJson label_json(const ServedModel& model, int32_t id, double logprob) {
  OrderedJson bytes = OrderedJson::array();
  for (const char byte : model.token_bytes(id)) bytes.push_back(static_cast<uint8_t>(byte));
  return {{"token", model.token_label(id)}, {"logprob", finite(logprob)}, {"bytes", bytes}};
}

}  // namespace

std::string_view openai_finish_reason(FinishReason reason) {
  return reason == FinishReason::stop_string ? "stop" : finish_reason_name(reason);
}

std::string dumped(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string with_choices(const OrderedJson& head, const std::vector<std::string>& choices,
                         const OrderedJson& tail) {
  std::string text = dumped(head);
  text.back() = ',';  // (it is an object with members)
  text += "\"choices\":[";
  for (const std::string& choice : choices) {
    if (text.back() != '[') text += ',';
    text += choice;
  }
  text += tail.empty() ? "]}" : "]," + dumped(tail).substr(1);
  return text;
}

std::vector<const GenerationResult*> texts_of(const GenerationResult& result) {
  std::vector<const GenerationResult*> texts = {&result};
  for (const GenerationResult& other : result.others) texts.push_back(&other);
  return texts;
}

Usage usage_of(const std::vector<GenerationResult>& results,
               const std::vector<size_t>& prompt_tokens) {
  Usage usage;
  const size_t each = results.size() / prompt_tokens.size();
  for (size_t i = 0; i < results.size(); ++i) {
    if (i % each == 0) {
      usage.prompt_tokens += prompt_tokens[i / each];
      usage.cached_tokens += static_cast<size_t>(results[i].prompt_tokens_cached);
    }
    for (const GenerationResult* text : texts_of(results[i]))
      usage.completion_tokens += text->token_ids.size();
  }
  return usage;
}

OrderedJson Usage::json() const {
  return {{"prompt_tokens", prompt_tokens},
          {"completion_tokens", completion_tokens},
          {"total_tokens", prompt_tokens + completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", cached_tokens}}}};
}

OrderedJson tpot_json(const GenerationResult& result) {
  return result.token_ids.size() < 2 ? OrderedJson(nullptr) : OrderedJson(result.timing.tpot_ms);
}

OrderedJson top_logprobs_json(const GenerationResult& result) {
  OrderedJson places = OrderedJson::array();
  for (const auto& place : result.top_logprobs) {
    OrderedJson top = OrderedJson::array();
    for (const TokenLogprob& one : place) top.push_back({{"id", one.id}, {"logprob", one.logprob}});
    places.push_back(std::move(top));
  }
  return places;
}

OrderedJson timings_json(const GenerationResult& result, size_t prompt_tokens) {
  return {{"prompt_n", prompt_tokens - static_cast<size_t>(result.prompt_tokens_cached)},
          {"prompt_per_second", result.timing.prompt_tokens_per_second},
          {"predicted_n", result.token_ids.size()},
          {"predicted_per_second", result.timing.tokens_per_second},
          {"cache_n", result.prompt_tokens_cached}};
}

void CharacterCount::add(std::string_view bytes) {
  unfinished_ += bytes;
  const size_t rest = utf8::incomplete_suffix_length(unfinished_);
  const size_t whole = unfinished_.size() - rest;
  whole_ += utf8::length(utf8::replace_invalid(std::string_view(unfinished_).substr(0, whole)));
  unfinished_.erase(0, whole);
}

OrderedJson completion_logprobs(const ServedModel& model, const std::vector<LabelledToken>& tokens,
                                CharacterCount& text, size_t hidden) {
  OrderedJson texts = OrderedJson::array(), logprobs = OrderedJson::array(),
              tops = OrderedJson::array(), offsets = OrderedJson::array();
  for (const LabelledToken& token : tokens) {
    texts.push_back(model.token_label(token.id));
    offsets.push_back(text.begun() > hidden ? text.begun() - hidden : 0);
    text.add(model.token_bytes(token.id));
    if (!token.has_logprob) {
      logprobs.push_back(nullptr);
      tops.push_back(nullptr);
      continue;
    }
    logprobs.push_back(finite(token.logprob));
    OrderedJson top = OrderedJson::object();
    for (const TokenLogprob& one : token.top) top[model.token_label(one.id)] = finite(one.logprob);
    top[model.token_label(token.id)] = finite(token.logprob);
    tops.push_back(std::move(top));
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

OrderedJson chat_logprob(const ServedModel& model, int32_t id, double logprob,
                         std::span<const TokenLogprob> top) {
  OrderedJson entry = label_json(model, id, logprob);
  OrderedJson best = OrderedJson::array();
  for (const TokenLogprob& one : top) best.push_back(label_json(model, one.id, one.logprob));
  entry["top_logprobs"] = std::move(best);
  return entry;
}

}  // namespace llm::api
