#include "apps/chat_reports.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "serving/http/api/answer_json.h"

namespace llm {

std::string chat_reply_json(const ChatReply& reply, std::span<const ChatTurn> turns,
                            const ChatJsonFields& fields) {
  const GenerationResult& result = reply.result;
  nlohmann::ordered_json json;
  json["turn"] = turns.size();
  json["attempt"] = reply.attempt + 1;
  json["message"] = turns.back().message;
  json["text"] = result.text;
  json["prompt"] = reply.prompt.text;
  json["prompt_token_ids"] = reply.prompt.ids;
  json["token_ids"] = result.token_ids;
  json["finish_reason"] = finish_reason_name(result.finish_reason);
  json["seed"] = result.seed;
  json["reused_tokens"] = result.prompt_tokens_cached;
  json["context_tokens"] = reply.context_used();
  if (reply.turns_left_out > 0) json["turns_left_out"] = reply.turns_left_out;
  if (result.prompt_tokens_dropped > 0)
    json["prompt_tokens_dropped"] = result.prompt_tokens_dropped;
  if (result.tokens_drafted > 0)
    json["speculation"] = {{"drafted", result.tokens_drafted},
                           {"accepted", result.tokens_accepted}};
  if (fields.top_logprobs) json["top_logprobs"] = api::top_logprobs_json(result);
  if (fields.logprobs) json["logprobs"] = result.logprobs;
  if (fields.probs) json["probs"] = result.probabilities;
  if (fields.input_logprobs) json["prompt_logprobs"] = result.input_logprobs;
  json["timing"] = {{"ttft_ms", result.timing.ttft_ms},
                    {"tpot_ms", api::tpot_json(result)},
                    {"total_ms", result.timing.total_ms},
                    {"tokens_per_second", result.timing.tokens_per_second}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string chat_reply_line(const ChatReply& reply, int64_t context_length) {
  const GenerationResult& result = reply.result;
  std::string line =
      fmt::format("{} tokens, {:.1f} tok/s | context {} of {}", result.token_ids.size(),
                  result.timing.tokens_per_second, reply.context_used(), context_length);
  if (result.prompt_tokens_cached > 0)
    line += fmt::format(" | {} reused", result.prompt_tokens_cached);
  if (reply.turns_left_out > 0)
    line += fmt::format(" | oldest turns left out: {}", reply.turns_left_out);
  if (result.prompt_tokens_dropped > 0)
    line += fmt::format(" | oldest tokens dropped: {}", result.prompt_tokens_dropped);
  if (result.finish_reason == FinishReason::length) line += " | cut at the length";
  if (result.finish_reason == FinishReason::cancelled) line += " | stopped";
  return line;
}

std::string chat_stats(const ChatSession& session) {
  const ChatTotals& totals = session.totals();
  std::string line = fmt::format(
      "turns {} ({} left out) | context {} of {} tokens | {} {}: prompts {} tokens, {} of "
      "them reused; written {} tokens in {:.2f} s",
      session.transcript().turns.size(), session.turns_left_out(), session.context_used(),
      session.context_length(), totals.replies, totals.replies == 1 ? "reply" : "replies",
      totals.prompt_tokens, totals.reused_tokens, totals.new_tokens, totals.seconds);
  if (totals.drafted > 0)
    line += fmt::format(" | drafted {} tokens, {} right", totals.drafted, totals.accepted);
  return line;
}

std::string shown_on_terminal(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const utf8::Character character = utf8::first_character(text);
    const uint32_t code = character.code_point;
    const bool harmless =
        code == '\n' || code == '\t' || (code >= 0x20 && code < 0x7F) || code > 0x9F;
    utf8::append(shown, harmless ? code : 0xFFFD);
    text.remove_prefix(character.length);
  }
  return shown;
}

}  // namespace llm
