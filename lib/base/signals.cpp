#include "base/signals.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>

#include "base/error.h"

namespace llm {
namespace {

constexpr std::array kStopSignals{SIGINT, SIGTERM, SIGHUP, SIGUSR1};

std::atomic<int> received{0};
std::array<struct sigaction, kStopSignals.size()> former_actions;
std::atomic<bool> installed{false};

void on_stop_signal(int number) {
  int none = 0;
  if (!received.compare_exchange_strong(none, number) && number != SIGHUP) {
    ::_exit(128 + number);
  }
}

}  // namespace

void end_if_asked(const StopRequest& stop) {
  if (stop && stop()) {
    throw Stopped();
  }
}

StopSignal::StopSignal() {
  check(!installed.exchange(true), "signals: one StopSignal at a time");
  received = 0;
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = 0;  // no restart: a read from the terminal returns, so that the request is seen
  for (size_t i = 0; i < kStopSignals.size(); ++i) {
    ::sigaction(kStopSignals[i], &action, &former_actions[i]);
    if (kStopSignals[i] == SIGHUP && former_actions[i].sa_handler == SIG_IGN) {
      ::sigaction(SIGHUP, &former_actions[i], nullptr);
    }
  }
}

StopSignal::~StopSignal() {
  for (size_t i = 0; i < kStopSignals.size(); ++i) {
    ::sigaction(kStopSignals[i], &former_actions[i], nullptr);
  }
  installed = false;
}

bool StopSignal::requested() const { return received != 0; }
bool StopSignal::is_pending() { return installed && received != 0; }
int StopSignal::number() const { return received; }

int StopSignal::exit_code() const {
  const int number = received;
  return number == 0 || number == SIGUSR1 ? 0 : 128 + number;
}

const char* StopSignal::name() const {
  switch (received) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGHUP:
      return "SIGHUP";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return "";
  }
}

void StopSignal::clear() { received = 0; }

void StopSignal::request(int signal_number) { on_stop_signal(signal_number); }

void ignore_write_signals() {
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);
}

}  // namespace llm
