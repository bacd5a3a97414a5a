#include "apps/chat_input.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/error.h"

namespace llm {
namespace {

constexpr size_t kMostLineBytes = 16u << 20;

/// An odd number of backslashes at the end; the last of them is the mark and not part of the text.
bool goes_on(const std::string& line) {
  size_t backslashes = 0;
  while (backslashes < line.size() && line[line.size() - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

class PipedChatInput final : public ChatInput {
 public:
  explicit PipedChatInput(const StopSignal& stop) : stop_(stop) {}
  bool is_terminal() const override { return false; }

 private:
  ChatLine read_line(bool) override {
    while (true) {
      const size_t end = buffer_.find('\n', searched_);
      if (end != std::string::npos) return take(end, end + 1);
      searched_ = buffer_.size();
      check_input(buffer_.size() <= kMostLineBytes, "standard input: a line is longer than {} MiB",
                  kMostLineBytes >> 20);
      if (ended_) {
        if (buffer_.empty()) return {};
        return take(buffer_.size(), buffer_.size());
      }
      if (!read_more()) return {ChatLine::Kind::interrupted, std::move(buffer_)};
    }
  }

  ChatLine take(size_t end, size_t next) {
    ChatLine line{ChatLine::Kind::text, buffer_.substr(0, end)};
    if (line.text.ends_with('\r')) line.text.pop_back();
    buffer_.erase(0, next);
    searched_ = 0;
    return line;
  }

  /// False: a signal asked to stop.
  bool read_more() {
    std::array<char, 65536> piece;
    while (!stop_.requested()) {
      pollfd readable{STDIN_FILENO, POLLIN, 0};
      if (::poll(&readable, 1, 100) <= 0) continue;  // looks at the signal again
      const ssize_t got = ::read(STDIN_FILENO, piece.data(), piece.size());
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got < 0) fail_errno("cannot read standard input");
      ended_ = got == 0;
      buffer_.append(piece.data(), static_cast<size_t>(got));
      return true;
    }
    return false;
  }

  const StopSignal& stop_;
  std::string buffer_;
  size_t searched_ = 0;
  bool ended_ = false;
};

}  // namespace

ChatLine ChatInput::next() {
  ChatLine message = read_line(true);
  while (message.kind == ChatLine::Kind::text && goes_on(message.text)) {
    message.text.back() = '\n';
    const ChatLine line = read_line(false);
    if (line.kind == ChatLine::Kind::end) break;
    message.kind = line.kind;
    message.text += line.text;
  }
  return message;
}

std::unique_ptr<ChatInput> open_piped_chat_input(const StopSignal& stop) {
  return std::make_unique<PipedChatInput>(stop);
}

std::unique_ptr<ChatInput> open_chat_input(const StopSignal& stop) {
  const bool person =
      ::isatty(STDIN_FILENO) && (::isatty(STDOUT_FILENO) || ::isatty(STDERR_FILENO));
  return person ? open_terminal_chat_input(stop) : open_piped_chat_input(stop);
}

}  // namespace llm
