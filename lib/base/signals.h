// Stop requests and the signals that must not kill a run.
//
// `StopSignal` turns the first SIGINT, SIGTERM, SIGHUP or SIGUSR1 into a flag that a loop looks at
// between steps (save, then leave); a second signal ends the process at once with 128 + number, but
// not a second SIGHUP: a terminal that goes away sends it, and so does its shell. Where SIGHUP is
// ignored (nohup) it stays so. One StopSignal at a time; the former handlers come back when it is
// destroyed. Exit codes: SIGHUP 129, SIGINT 130, SIGTERM 143, SIGUSR1 0 (Slurm's "time is nearly
// over": a clean stop).
#pragma once

#include <exception>
#include <functional>

namespace llm {

/// Asked between pieces of work; true: end. An empty one never asks to.
using StopRequest = std::function<bool()>;

/// Work ended because a StopRequest said so: no fault, and not an Error.
class Stopped : public std::exception {
 public:
  const char* what() const noexcept override { return "stopped as asked"; }
};

/// Throws Stopped where `stop` asks for it.
void end_if_asked(const StopRequest& stop);

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested() const;
  int number() const;        // of the signal, 0 if none
  int exit_code() const;     // 0 if none or SIGUSR1, 129, 130, 143
  const char* name() const;  // "SIGINT", "" if none
  void clear();  // an interactive reader takes the request as "stop this reply" and goes on
  static void request(int signal_number);  // the same as receiving it once
  /// For what waits for its input far below the loop that looks.
  static bool is_pending();
};

/// Called first in main: SIGPIPE and SIGXFSZ are ignored, so that a closed pipe and a file-size
/// limit become errors of write().
void ignore_write_signals();

}  // namespace llm
