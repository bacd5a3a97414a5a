#include "apps/chat_loop.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_io.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "base/stdout.h"
#include "base/utf8.h"

namespace llm {
namespace {

constexpr uint64_t kMostReadBytes = 16u << 20;

void tell(const std::string& text) {
  flush_stdout();
  std::fputs((text + "\n").c_str(), stderr);
}

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

}  // namespace

struct ChatLoop::CommandRow {
  const char* name;
  const char* argument;  // "": takes none; "[TEXT]": may be left out
  const char* meaning;
  void (*run)(ChatLoop& loop, const std::string& argument);
};

const std::vector<ChatLoop::CommandRow>& ChatLoop::commands() {
  static const std::vector<CommandRow> rows = {
      {"/exit", "", "leave (also quit, Ctrl+D)",
       [](ChatLoop& loop, const std::string&) { loop.leaving_ = true; }},
      {"/clear", "", "forget what was said, not the system message (also clear)",
       [](ChatLoop& loop, const std::string&) {
         loop.pending_.clear();
         loop.session_.clear();
       }},
      {"/regen", "", "another reply to the last message",
       [](ChatLoop& loop, const std::string&) { loop.answer(true, ""); }},
      {"/read", "FILE", "put a file before the next message",
       [](ChatLoop& loop, const std::string& file) { loop.read_aloud(file); }},
      {"/system", "[TEXT]", "set the system message; without a text, remove it",
       [](ChatLoop& loop, const std::string& text) { loop.set_system(text); }},
      {"/save", "FILE", "write the messages as JSON",
       [](ChatLoop& loop, const std::string& file) { loop.save(file); }},
      {"/stats", "", "tokens, time, what was reused",
       [](ChatLoop& loop, const std::string&) { loop.show_stats(); }},
      {"/help", "", "this list", [](ChatLoop& loop, const std::string&) { loop.show_help(); }},
  };
  return rows;
}

ChatLoop::ChatLoop(ChatSession& session, StopSignal& stop, ChatLoopOptions options)
    : session_(session), stop_(stop), options_(options) {}

void ChatLoop::check_text(std::string_view text, std::string_view name) {
  if (const auto at = utf8::first_invalid(text))
    fail(Exit::bad_input, fmt::format("{}: invalid UTF-8 at byte {}", name, *at));
}

int ChatLoop::run(ChatInput& input) {
  const bool terminal = input.is_terminal();
  while (!leaving_) {
    const ChatLine line = input.next();
    if (line.kind == ChatLine::Kind::interrupted) {
      const int status = after_signal(line, terminal);
      if (status >= 0) return status;
      continue;
    }
    warned_ = false;
    try {
      if (line.kind == ChatLine::Kind::end) {
        if (!terminal && !pending_.empty()) say("");
        leaving_ = true;
      } else {
        obey(line.text);
      }
    } catch (const Error& error) {  // a person reads it and goes on
      if (!terminal || error.message().empty()) throw;
      log_failure(error.message(), error.hint());
    }
    if (!stop_.requested()) continue;
    if (!terminal || stop_.number() != SIGINT) return stop_.exit_code();
    stop_.clear();  // it has stopped the reply
  }
  return stop_.exit_code();
}

/// At a terminal Ctrl+C drops the line; at an empty prompt the second one in a row leaves. The exit
/// code, or -1 to go on.
int ChatLoop::after_signal(const ChatLine& line, bool terminal) {
  if (!terminal || stop_.number() != SIGINT) return stop_.exit_code();
  if (warned_ && line.text.empty()) return stop_.exit_code();
  stop_.clear();
  warned_ = line.text.empty();
  if (warned_) tell("(Ctrl+C again or /exit leaves)");
  return -1;
}

/// A line of input: a command or a message.
bool ChatLoop::obey(const std::string& line) {
  if (is_blank(line) && pending_.empty()) return true;
  if (line == "clear" || line == "quit") return obey(line == "clear" ? "/clear" : "/exit");
  if (line.starts_with("//")) return say(line.substr(1)), true;
  if (!line.starts_with('/')) return say(line), true;
  const size_t space = std::min(line.find_first_of(" \t\n"), line.size());
  const std::string name = line.substr(0, space);
  const size_t begin = std::min(line.find_first_not_of(" \t\n", space), line.size());
  const size_t end = line.find_last_not_of(" \t\n") + 1;
  const std::string argument = begin < end ? line.substr(begin, end - begin) : "";
  std::vector<std::string> names;
  for (const CommandRow& row : commands()) {
    names.emplace_back(row.name);
    if (name != row.name) continue;
    const std::string expected = row.argument;
    check(!expected.empty() || argument.empty(), "{} takes no argument, got '{}'", name, argument);
    check(!argument.empty() || expected.empty() || expected.starts_with('['), "{} needs a {}", name,
          expected);
    row.run(*this, argument);
    return !leaving_;
  }
  const std::string hint = nearest_name_hint(name, names);
  fail(Exit::usage, fmt::format("unknown command '{}'", name),
       hint.empty() ? "/help lists them; a message that begins with / is written with //" : hint);
}

void ChatLoop::read_aloud(const std::string& file) {
  const std::string text = read_file(file, {.noun = "file", .max_bytes = kMostReadBytes});
  check_text(text, file);
  pending_ += text;
  if (!pending_.empty() && !pending_.ends_with('\n')) pending_ += '\n';
  tell(fmt::format("{} bytes of {} stand before the next message", text.size(), file));
}

void ChatLoop::say(std::string message) {
  check_text(message, "message");
  const std::string file = std::exchange(pending_, "");
  answer(false, file + message);
}

void ChatLoop::answer(bool again, std::string message) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  bool begun = false;
  const auto show = [&](std::string_view piece) {
    if (options_.json) return;
    begun = true;
    write_stdout(terminal ? shown_on_terminal(piece) : std::string(piece));
    flush_stdout();
  };
  ChatReply reply;
  try {
    reply = again ? session_.say_again(show, stop_) : session_.say(std::move(message), show, stop_);
  } catch (const Error&) {
    if (begun) write_stdout("\n");  // so that the message stands by itself
    throw;
  }
  if (options_.json) {
    write_stdout(chat_reply_json(reply, session_.transcript().turns, options_.json_fields) + "\n");
  } else {
    write_stdout("\n");
  }
  flush_stdout();
  log_info("{}", chat_reply_line(reply, session_.context_length()));
}

void ChatLoop::save(const std::string& file) {
  const nlohmann::ordered_json messages = session_.transcript().messages();
  write_file_atomically(
      file, messages.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  tell(fmt::format("{} messages in {}", messages.size(), file));
}

void ChatLoop::set_system(const std::string& text) {
  check_text(text, "/system");
  session_.transcript().system = text;
  tell(text.empty() ? "no system message from now on" : "the system message is set");
}

void ChatLoop::show_stats() { tell(chat_stats(session_)); }

void ChatLoop::show_help() {
  std::string text;
  for (const CommandRow& row : commands())
    text += fmt::format("  {:16} {}\n", fmt::format("{} {}", row.name, row.argument), row.meaning);
  tell(text +
       "A backslash at the end of a line goes on in the next one; // begins a message with a "
       "slash.\n"
       "Ctrl+C stops a reply.");
}

}  // namespace llm
