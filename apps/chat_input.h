// Where the messages of a chat come from: a person at a terminal, with line editing and history
// (libedit), or the lines of standard input.
//
// A line that ends in an odd number of backslashes goes on in the next one. next() returns whole
// messages without the newline at their end. One thread; one at a time.
#pragma once

#include <memory>
#include <string>

#include "base/signals.h"

namespace llm {

struct ChatLine {
  enum class Kind {
    text,
    end,          // of the input, Ctrl+D
    interrupted,  // by a signal: nothing of the line is left
  };
  Kind kind = Kind::end;
  std::string text;  // the message; where interrupted, what had been typed of it
};

class ChatInput {
 public:
  virtual ~ChatInput() = default;
  /// A person sits at it: prompts are shown, errors are forgiven.
  virtual bool is_terminal() const = 0;
  ChatLine next();

 private:
  /// One line. `first`: of a message.
  virtual ChatLine read_line(bool first) = 0;
};

/// Lines of standard input. Throws Error(Exit::io) where it cannot be read and
/// Error(Exit::bad_input) at a line of more than 16 MiB.
std::unique_ptr<ChatInput> open_piped_chat_input(const StopSignal& stop);
/// The terminal that standard input is.
std::unique_ptr<ChatInput> open_terminal_chat_input(const StopSignal& stop);
/// The terminal where standard input is one and stdout or stderr can show what is typed.
std::unique_ptr<ChatInput> open_chat_input(const StopSignal& stop);

}  // namespace llm
