#include "base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/number_text.h"

namespace llm {
namespace {

constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kLineEvery = std::chrono::seconds(10);

size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string bar(double share, size_t width) {
  const size_t filled = static_cast<size_t>(share * static_cast<double>(width));
  return fmt::format("[{}{}]", std::string(filled, '='), std::string(width - filled, ' '));
}

}  // namespace

bool stderr_is_terminal() {
  const char* terminal = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) == 1 && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

bool stderr_has_color() {
  const auto is_set = [](const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value != '\0';
  };
  return is_set("FORCE_COLOR") || (stderr_is_terminal() && !is_set("NO_COLOR"));
}

Progress::Progress(int64_t total, std::string label, std::string unit, int64_t first, Now now)
    : total_(total),
      first_(first),
      done_(first),
      label_(std::move(label)),
      unit_(std::move(unit)),
      now_(std::move(now)),
      start_(now_()),
      shown_(start_),
      terminal_(stderr_is_terminal()) {}

Progress::~Progress() {
  if (visible_ && terminal_) {
    set_status_line("");
  }
}

void Progress::update(int64_t done, std::string_view note) {
  done_ = done;
  const Clock::time_point now = now_();
  if (log_is_quiet() || now - start_ < kPatience ||
      now - shown_ < (terminal_ ? Clock::duration(kRedraw) : Clock::duration(kLineEvery))) {
    return;
  }
  shown_ = now;
  visible_ = true;
  if (terminal_) {
    set_status_line(line(note));
  } else {
    log_info("{}", line(note));
  }
}

void Progress::put_off() {
  if (!terminal_) {
    shown_ = now_();
  }
}

void Progress::finish() {
  if (finished_ || !visible_) {
    return;
  }
  finished_ = true;
  if (terminal_) {
    set_status_line("");
  } else {
    log_info("{}", line({}));
  }
}

/// "1.2K rows/s | eta 3m", or the time that has passed where the end is not known.
std::string Progress::speed_and_time() const {
  const double elapsed = std::max(1e-3, std::chrono::duration<double>(now_() - start_).count());
  if (total_ == 0 && unit_.empty()) {
    return human_duration(elapsed);
  }
  const double rate = static_cast<double>(done_ - first_) / elapsed;
  const std::string number =
      rate < 10 ? fmt::format("{:.1f}", rate) : human_count(static_cast<int64_t>(rate));
  const std::string speed = fmt::format("{} {}/s", number, unit_.empty() ? "items" : unit_);
  if (total_ == 0) {
    return fmt::format("{} | {}", speed, human_duration(elapsed));
  }
  const auto left = static_cast<double>(total_ - std::min(done_, total_));
  return fmt::format("{} | eta {}", speed, rate > 0 ? human_duration(left / rate) : "?");
}

std::string Progress::line(std::string_view note) const {
  std::string text = label_;
  if (total_ > 0) {
    const double share =
        std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    text += fmt::format(" {:.0f}%{} {}/{}", share * 100, terminal_ ? " " + bar(share, 20) : "",
                        human_count(done_), human_count(total_));
  } else if (!unit_.empty()) {
    text += " " + human_count(done_);
  }
  text += " | " + speed_and_time();
  if (!note.empty()) {
    text += fmt::format(" | {}", note);
  }
  return terminal_ ? text.substr(0, terminal_width() - 1) : text;
}

}  // namespace llm
