// Progress on stderr: a bar that redraws itself on a terminal, else one line every ten seconds.
// Nothing when --quiet, and nothing at all for work that ends within a second. Not thread-safe: one
// thread reports. NO_COLOR and TERM=dumb are honoured.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace llm {

class Progress {
 public:
  using Clock = std::chrono::steady_clock;
  using Now = std::function<Clock::time_point()>;

  /// total 0 = unknown; with no unit either, the time that has passed is shown alone. unit:
  /// "tokens", "MB". first: what was done before, which says nothing about the speed. now: a clock
  /// for tests.
  Progress(int64_t total, std::string label, std::string unit = {}, int64_t first = 0,
           Now now = Clock::now);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, std::string_view note = {});
  /// Something else was logged: the next line is due ten seconds from now.
  void put_off();
  /// Removes the bar, or writes the last line if lines were written before.
  void finish();

 private:
  std::string line(std::string_view note) const;
  std::string speed_and_time() const;
  int64_t total_;
  int64_t first_;
  int64_t done_;
  std::string label_;
  std::string unit_;
  Now now_;
  Clock::time_point start_;
  Clock::time_point shown_;
  bool terminal_;
  bool visible_ = false;
  bool finished_ = false;
};

/// stderr is a terminal that can redraw a line.
bool stderr_is_terminal();
/// stderr may be coloured: a terminal without NO_COLOR, or FORCE_COLOR.
bool stderr_has_color();

}  // namespace llm
