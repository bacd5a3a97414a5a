// Progress on stderr: a bar that redraws itself on a terminal, else one line every ten seconds.
// Nothing when --quiet, and nothing at all for work that ends within a second. Not thread-safe: one
// thread reports. NO_COLOR and TERM=dumb are honoured.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace llm {

class Progress {
 public:
  /// total 0 = unknown. unit: "tokens", "MB".
  Progress(int64_t total, std::string label, std::string unit = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(int64_t done, std::string_view note = {});
  /// Removes the bar, or writes the last line if lines were written before.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  std::string line(std::string_view note) const;
  int64_t total_;
  int64_t done_ = 0;
  std::string label_;
  std::string unit_;
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
