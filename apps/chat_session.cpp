#include "apps/chat_session.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace llm {
ChatSession::ChatSession(const TextModel& model, ChatTranscript transcript,
                         FrozenGenerationConfig config, const DraftModel& draft)
    : model_(model),
      transcript_(std::move(transcript)),
      config_(std::move(config)),
      engine_(*model.loaded.model, draft.make) {}

void ChatSession::clear() {
  transcript_.turns.clear();
  first_turn_ = 0;
  context_used_ = 0;
}

ChatReply ChatSession::say(std::string message, const Show& show, const StopSignal& stop) {
  const size_t first_turn = first_turn_;
  transcript_.turns.push_back({std::move(message), "", false});
  try {
    ChatReply reply = answer(0, show, stop);
    attempts_ = 1;
    return reply;
  } catch (...) {
    transcript_.turns.pop_back();
    first_turn_ = first_turn;
    throw;
  }
}

ChatReply ChatSession::say_again(const Show& show, const StopSignal& stop) {
  check(!transcript_.turns.empty(), "/regen: there is no reply yet");
  return answer(attempts_++, show, stop);
}

ChatReply ChatSession::answer(int64_t attempt, const Show& show, const StopSignal& stop) {
  ChatReply reply;
  reply.attempt = attempt;
  reply.prompt = fitting_prompt();
  reply.turns_left_out = first_turn_;
  reply.context_length = context_length();
  GenerationRequest request;
  request.prompt_ids = reply.prompt.ids;
  request.config = config_;
  request.adapter = model_.adapter;
  request.sequence = attempt;
  request.token_bytes = [this](int32_t id) { return model_.token_bytes(id); };
  reply.result = generate(std::move(request), show, stop);
  ChatTurn& turn = transcript_.turns.back();
  turn.reply = reply.result.text;
  turn.answered = true;
  note(reply);
  return reply;
}

ChatPrompt ChatSession::fitting_prompt() {
  ChatPrompt prompt = transcript_.prompt(first_turn_);
  const int64_t context = context_length();
  if (context == 0 || config_->max_context_policy != "truncate-left") return prompt;
  const int64_t room = std::max<int64_t>(1, context - config_.max_new_tokens());
  while (std::ssize(prompt.ids) > room && first_turn_ + 1 < transcript_.turns.size())
    prompt = transcript_.prompt(++first_turn_);
  return prompt;
}

GenerationResult ChatSession::generate(GenerationRequest request, const Show& show,
                                       const StopSignal& stop) {
  request.on_token = [&](const TokenEvent& event) {
    if (!event.text.empty()) show(event.text);
    return !stop.requested();
  };
  return engine_.generate(std::move(request), [&] { return stop.requested(); });
}

void ChatSession::note(const ChatReply& reply) {
  const GenerationResult& result = reply.result;
  ++totals_.replies;
  totals_.prompt_tokens += std::ssize(reply.prompt.ids) - result.prompt_tokens_dropped;
  totals_.reused_tokens += result.prompt_tokens_cached;
  totals_.new_tokens += std::ssize(result.token_ids);
  totals_.drafted += result.tokens_drafted;
  totals_.accepted += result.tokens_accepted;
  totals_.seconds += result.timing.total_ms / 1e3;
  context_used_ = reply.context_used();
}

}  // namespace llm
