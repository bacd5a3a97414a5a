#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <sstream>
#include <string>

#include "base/error.h"

namespace llm {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

std::string clock_time() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%H:%M", &parts);
  return text.data();
}

/// The holder wrote "pid host time".
[[noreturn]] void refuse(int descriptor, const std::filesystem::path& directory) {
  std::array<char, 512> text{};
  const ssize_t got = ::pread(descriptor, text.data(), text.size() - 1, 0);
  ::close(descriptor);
  std::istringstream words(std::string(text.data(), got > 0 ? static_cast<size_t>(got) : 0));
  std::string pid, host, since;
  if (words >> pid >> host >> since) {
    fail(Exit::usage,
         fmt::format("'{}' is locked by pid {} on host {} since {}", directory.string(), pid, host,
                     since),
         "wait for it to end, or choose another folder");
  }
  fail(Exit::usage, fmt::format("'{}' is locked by another process", directory.string()));
}

bool still_named(int descriptor, const std::filesystem::path& file) {
  struct stat held {
  }, named{};
  return ::fstat(descriptor, &held) == 0 && ::stat(file.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& directory) : file_(directory / "run.lock") {
  while (descriptor_ < 0) {
    const int descriptor = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor < 0) {
      fail_errno(fmt::format("cannot create '{}'", file_.string()));
    }
    if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) {
        refuse(descriptor, directory);
      }
      const int error = errno;
      ::close(descriptor);
      errno = error;
      fail_errno(fmt::format("cannot lock '{}'", file_.string()));
    }
    // The former holder may have removed the file between our open and our flock: then this lock
    // guards nothing.
    if (still_named(descriptor, file_)) {
      descriptor_ = descriptor;
    } else {
      ::close(descriptor);
    }
  }
  const std::string holder = fmt::format("{} {} {}\n", ::getpid(), host_name(), clock_time());
  [[maybe_unused]] const int resized = ::ftruncate(descriptor_, 0);
  [[maybe_unused]] const ssize_t written = ::pwrite(descriptor_, holder.data(), holder.size(), 0);
}

RunLock::~RunLock() {
  ::unlink(file_.c_str());
  ::close(descriptor_);
}

}  // namespace llm
