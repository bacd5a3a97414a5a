// The lines that were typed in earlier chats: XDG_STATE_HOME/llm/chat_history, one line each,
// UTF-8, readable by their owner only.
//
// A line is appended when it was entered, so nothing is lost when a chat ends early, and chats side
// by side do not undo each other. Opening keeps the newest 1000. Throws Error(Exit::io).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

class ChatHistory {
 public:
  /// Makes the file if it is not there.
  explicit ChatHistory(std::filesystem::path file);
  /// Oldest first.
  const std::vector<std::string>& lines() const { return lines_; }
  /// Nothing for an empty line and for the newest one again.
  void add(std::string_view line);

  /// In XDG_STATE_HOME, else ~/.local/state; nothing without a home.
  static std::optional<std::filesystem::path> usual_file();

 private:
  std::filesystem::path file_;
  std::vector<std::string> lines_;
};

}  // namespace llm
