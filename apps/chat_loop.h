// The reading and answering of `llm chat`: messages, commands that begin with a slash, Ctrl+C.
//
// Replies go to stdout (one JSON object a line with `json`), everything else to stderr. At a
// terminal an error is shown and the chat goes on; from a pipe it ends the chat, as it does in any
// other verb. One thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "apps/chat_input.h"
#include "apps/chat_reports.h"
#include "apps/chat_session.h"
#include "base/signals.h"

namespace llm {

struct ChatLoopOptions {
  bool json = false;
  ChatJsonFields json_fields;
};

class ChatLoop {
 public:
  ChatLoop(ChatSession& session, StopSignal& stop, ChatLoopOptions options);

  /// Until the input ends, /exit or a signal; the exit code.
  int run(ChatInput& input);
  /// One message, which is no command whatever it says.
  void say(std::string message);

  /// Refuses (bad input) what is not UTF-8: "message: invalid UTF-8 at byte 7".
  static void check_text(std::string_view text, std::string_view name);

 private:
  struct CommandRow;
  static const std::vector<CommandRow>& commands();

  bool obey(const std::string& line);  // false: leave
  int after_signal(const ChatLine& line, bool terminal);
  void read_aloud(const std::string& file);
  void answer(bool again, std::string message);
  void save(const std::string& file);
  void set_system(const std::string& text);
  void show_stats();
  void show_help();

  ChatSession& session_;
  StopSignal& stop_;
  ChatLoopOptions options_;
  std::string pending_;  // of /read, before the next message
  bool leaving_ = false, warned_ = false;
};

}  // namespace llm
