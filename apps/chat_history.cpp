#include "apps/chat_history.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/file_io.h"
#include "base/utf8.h"

namespace llm {
namespace {

constexpr size_t kMostHistoryLines = 1000;
constexpr uint64_t kMostHistoryBytes = 64u << 20;

/// Writes `text` to a file that only its owner may read.
void write_private(const std::filesystem::path& file, int flags, std::string_view text) {
  const std::string subject = fmt::format("cannot write the history '{}'", file.string());
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
  if (descriptor < 0) fail_errno(subject);
  bool good = ::fchmod(descriptor, 0600) == 0;
  while (good && !text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    good = written > 0;
    if (good) text.remove_prefix(static_cast<size_t>(written));
  }
  const int error = errno;
  ::close(descriptor);
  errno = error;
  if (!good) fail_errno(subject);
}

}  // namespace

std::optional<std::filesystem::path> ChatHistory::usual_file() {
  const char* state = std::getenv("XDG_STATE_HOME");
  const char* home = std::getenv("HOME");
  std::filesystem::path folder;
  if (state != nullptr && state[0] == '/') {
    folder = state;
  } else if (home != nullptr && home[0] == '/') {
    folder = std::filesystem::path(home) / ".local" / "state";
  } else {
    return std::nullopt;
  }
  return folder / "llm" / "chat_history";
}

ChatHistory::ChatHistory(std::filesystem::path file) : file_(std::move(file)) {
  make_directories(file_.parent_path());
  write_private(file_, O_APPEND, "");
  const std::string text =
      read_file(file_, {.noun = "history", .max_bytes = kMostHistoryBytes, .exit = Exit::io});
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    if (!line.empty() && utf8::is_valid(line)) lines_.emplace_back(line);
    at = end + 1;
  }
  if (lines_.size() <= kMostHistoryLines) return;
  lines_.erase(lines_.begin(), lines_.end() - kMostHistoryLines);
  std::string kept;
  for (const std::string& line : lines_) kept += line + "\n";
  std::filesystem::path shorter = file_;
  shorter += fmt::format(".tmp-{}", ::getpid());
  write_private(shorter, O_TRUNC, kept);
  rename_path(shorter, file_);
}

void ChatHistory::add(std::string_view line) {
  if (line.empty() || (!lines_.empty() && lines_.back() == line)) return;
  lines_.emplace_back(line);
  write_private(file_, O_APPEND, std::string(line) + "\n");
}

}  // namespace llm
