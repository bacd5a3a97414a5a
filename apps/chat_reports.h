// What is said about a reply: its JSON object, its line on stderr, the totals of /stats. Pure
// functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "apps/chat_session.h"

namespace llm {

struct ChatJsonFields {  // that are wanted beside the usual ones
  bool logprobs = false, top_logprobs = false, probs = false, input_logprobs = false;
};

/// One line without its end. `turns`: up to the one that was replied to.
std::string chat_reply_json(const ChatReply& reply, std::span<const ChatTurn> turns,
                            const ChatJsonFields& fields);
/// "14 tokens, 52.1 tok/s | context 81 of 256 | 32 reused".
std::string chat_reply_line(const ChatReply& reply, int64_t context_length);
std::string chat_stats(const ChatSession& session);

/// What a terminal would obey instead of showing it (escape sequences, bells) as U+FFFD. `text` is
/// valid UTF-8.
std::string shown_on_terminal(std::string_view text);

}  // namespace llm
