// The terminal of a chat, by libedit. It reads bytes itself, so that a signal is seen at once and
// any locale can type UTF-8.
#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdio>
#include <optional>
#include <string_view>

#include "apps/chat_history.h"
#include "apps/chat_input.h"
#include "base/error.h"
#include "base/log.h"
#include "base/stdout.h"
#include "base/utf8.h"

namespace llm {
namespace {

constexpr int kHistorySize = 1000;

std::wstring widened(std::string_view text) {
  std::wstring wide;
  while (!text.empty()) {
    const utf8::Character character = utf8::first_character(text);
    wide += static_cast<wchar_t>(character.code_point);
    text.remove_prefix(character.length);
  }
  return wide;
}

std::string narrowed(std::wstring_view wide) {
  std::string text;
  for (const wchar_t unit : wide) utf8::append(text, static_cast<uint32_t>(unit));
  return text;
}

class TerminalChatInput final : public ChatInput {
 public:
  explicit TerminalChatInput(const StopSignal& stop) : stop_(stop) {
    // Only how characters are shown; the program's own texts are UTF-8 everywhere.
    if (std::setlocale(LC_CTYPE, "C.UTF-8") == nullptr) std::setlocale(LC_CTYPE, "");
    screen_ = ::isatty(STDOUT_FILENO) ? stdout : stderr;
    editor_ = el_init("llm", stdin, screen_, stderr);
    past_ = history_winit();
    if (editor_ == nullptr || past_ == nullptr) fail(Exit::io, "the terminal cannot be used");
    HistEventW event;
    history_w(past_, &event, H_SETSIZE, kHistorySize);
    history_w(past_, &event, H_SETUNIQUE, 1);
    el_wset(editor_, EL_CLIENTDATA, this);
    el_wset(editor_, EL_GETCFN, &TerminalChatInput::next_character);
    el_wset(editor_, EL_PROMPT, &TerminalChatInput::prompt);
    el_wset(editor_, EL_EDITOR, L"emacs");
    el_wset(editor_, EL_HIST, history_w, past_);
    el_source(editor_, nullptr);  // the user's own ~/.editrc
    open_history();
  }
  ~TerminalChatInput() override {
    history_wend(past_);
    el_end(editor_);
  }
  TerminalChatInput(const TerminalChatInput&) = delete;
  TerminalChatInput& operator=(const TerminalChatInput&) = delete;
  bool is_terminal() const override { return true; }

 private:
  static TerminalChatInput& self(EditLine* editor) {
    void* input = nullptr;
    el_wget(editor, EL_CLIENTDATA, &input);
    return *static_cast<TerminalChatInput*>(input);
  }
  static wchar_t* prompt(EditLine* editor) {
    static wchar_t message[] = L"> ", more[] = L". ";
    return self(editor).first_ ? message : more;
  }
  static int next_character(EditLine* editor, wchar_t* out) {
    return self(editor).read_character(*out);
  }

  /// A byte; nothing at the end or where a signal asked to stop (interrupted_).
  bool read_byte(char& byte) {
    while (!(interrupted_ = stop_.requested())) {
      pollfd readable{STDIN_FILENO, POLLIN, 0};
      if (::poll(&readable, 1, 100) <= 0) continue;
      const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      return got == 1;  // a terminal that went away is an end, too
    }
    return false;
  }

  /// As libedit wants it: 1, or 0 at the end, or -1.
  int read_character(wchar_t& out) {
    std::string bytes(1, '\0');
    if (!read_byte(bytes[0])) return interrupted_ ? note_interruption() : 0;
    while (utf8::incomplete_suffix_length(bytes) == bytes.size()) {
      char byte = 0;
      if (!read_byte(byte)) return interrupted_ ? note_interruption() : 0;
      bytes += byte;
    }
    out = static_cast<wchar_t>(utf8::first_character(bytes).code_point);
    return 1;
  }

  int note_interruption() {
    const LineInfoW* line = el_wline(editor_);
    typed_ = narrowed({line->buffer, static_cast<size_t>(line->lastchar - line->buffer)});
    return -1;
  }

  ChatLine read_line(bool first) override {
    flush_stdout();
    first_ = first;
    interrupted_ = false;
    typed_.clear();
    el_resize(editor_);
    int count = 0;
    const wchar_t* wide = el_wgets(editor_, &count);
    if (interrupted_) {
      std::fputs("^C\n", screen_);
      std::fflush(screen_);
      return {ChatLine::Kind::interrupted, typed_};
    }
    if (wide == nullptr || count <= 0) {
      std::fputs("\n", screen_);
      std::fflush(screen_);
      return {};
    }
    std::wstring_view line(wide, static_cast<size_t>(count));
    while (line.ends_with(L'\n') || line.ends_with(L'\r')) line.remove_suffix(1);
    ChatLine read{ChatLine::Kind::text, narrowed(line)};
    remember(read.text);
    return read;
  }

  void open_history() {
    const auto file = ChatHistory::usual_file();
    if (!file) return;
    try {
      history_.emplace(*file);
    } catch (const Error& error) {  // a chat is possible without
      log_warn("{}; this chat is not remembered", error.message());
      return;
    }
    for (const std::string& line : history_->lines()) enter(line);
  }
  void enter(const std::string& line) {
    HistEventW event;
    history_w(past_, &event, H_ENTER, widened(line).c_str());
  }
  void remember(const std::string& line) {
    if (line.find_first_not_of(" \t") == std::string::npos) return;
    enter(line);
    if (!history_) return;
    try {
      history_->add(line);
    } catch (const Error& error) {
      log_warn("{}; what follows is not remembered", error.message());
      history_.reset();
    }
  }

  const StopSignal& stop_;
  std::FILE* screen_ = nullptr;
  EditLine* editor_ = nullptr;
  HistoryW* past_ = nullptr;
  std::optional<ChatHistory> history_;
  std::string typed_;
  bool first_ = true, interrupted_ = false;
};

}  // namespace

std::unique_ptr<ChatInput> open_terminal_chat_input(const StopSignal& stop) {
  return std::make_unique<TerminalChatInput>(stop);
}

}  // namespace llm
