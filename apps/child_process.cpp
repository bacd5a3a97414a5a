#include "apps/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include "base/error.h"

extern char** environ;

namespace llm {

namespace {

/// Not one long waitpid(): a signal that came just before it would be seen only at its end.
int status_of(pid_t child, const StopRequest& stop) {
  constexpr auto kLookEvery = std::chrono::milliseconds(20);
  bool asked = false;
  for (int status = 0;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) {
      return status;
    }
    if (ended < 0 && errno != EINTR) {
      fail_errno("cannot wait for a child process");
    }
    if (!asked && stop && stop()) {
      asked = true;
      ::kill(child, SIGTERM);
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

}  // namespace

ChildEnd run_self(const std::vector<std::string>& arguments, const StopRequest& stop) {
  std::vector<std::string> words = {"llm"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& word : words) {
    pointers.push_back(word.data());
  }
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int error =
      posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    errno = error;
    fail_errno("cannot start a child process");
  }
  const int status = status_of(child, stop);
  if (WIFSIGNALED(status)) {
    return {-1, WTERMSIG(status)};
  }
  return {WEXITSTATUS(status), 0};
}

}  // namespace llm
