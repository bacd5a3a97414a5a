// Turns of a conversation through one engine that stays: what earlier turns have left in the KV
// cache is not computed again.
//
// Each prompt is made anew from the messages, so a reply is, bit for bit, what a fresh start with
// the same prompt and seed gives. Reuse is found by comparing ids, in whole blocks of 32 tokens
// (serving/prefix_cache.h); models that run through LibTorch's plain path have no shared blocks and
// read everything again.
//
// Under truncate-left the oldest turns are left out, whole, until prompt and reply fit; they stay
// left out. A last message that is too long by itself loses its beginning. One thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "apps/chat_transcript.h"
#include "apps/text_model.h"
#include "base/signals.h"
#include "serving/conversation_engine.h"

namespace llm {

struct ChatReply {
  ChatPrompt prompt;
  GenerationResult result;
  size_t turns_left_out = 0;
  int64_t attempt = 0;         // 0 for the first, 1 for the first /regen, ...
  int64_t context_length = 0;  // of the model; 0 = no bound

  /// Tokens of the context that it takes. (The last token of a reply that fills it is written, but
  /// not read; a context that slides stays full.)
  int64_t context_used() const {
    const int64_t all =
        std::ssize(prompt.ids) - result.prompt_tokens_dropped + std::ssize(result.token_ids);
    return context_length > 0 ? std::min(all, context_length) : all;
  }
};

struct ChatTotals {
  int64_t replies = 0, prompt_tokens = 0, reused_tokens = 0, new_tokens = 0;
  int64_t drafted = 0, accepted = 0;
  double seconds = 0;
};

class ChatSession {
 public:
  /// Pieces of a reply, as they can be shown: valid UTF-8.
  using Show = std::function<void(std::string_view)>;

  /// Keeps references to model and draft.
  ChatSession(const TextModel& model, ChatTranscript transcript, FrozenGenerationConfig config,
              const DraftModel& draft);

  /// The reply to a message. On an error the message is taken back. A stop request ends the reply,
  /// which stays as far as it got.
  ChatReply say(std::string message, const Show& show, const StopSignal& stop);
  /// Another reply to the last message, with draws of its own; it takes the place of the former.
  ChatReply say_again(const Show& show, const StopSignal& stop);
  /// Forgets the turns; the system message stays.
  void clear();

  ChatTranscript& transcript() { return transcript_; }
  const ChatTranscript& transcript() const { return transcript_; }
  const ChatTotals& totals() const { return totals_; }
  int64_t context_length() const { return model_.loaded.model->context_length(); }
  int64_t context_used() const { return context_used_; }
  size_t turns_left_out() const { return first_turn_; }

 private:
  ChatReply answer(int64_t attempt, const Show& show, const StopSignal& stop);
  ChatPrompt fitting_prompt();
  GenerationResult generate(GenerationRequest request, const Show& show, const StopSignal& stop);
  void note(const ChatReply& reply);

  const TextModel& model_;
  ChatTranscript transcript_;
  FrozenGenerationConfig config_;
  ConversationEngine engine_;
  ChatTotals totals_;
  size_t first_turn_ = 0;  // those before it are left out
  int64_t attempts_ = 0, context_used_ = 0;
};

}  // namespace llm
