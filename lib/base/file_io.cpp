#include "base/file_io.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <utility>

#include "base/fault_plan.h"
#include "base/number_text.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

std::string megabytes(uint64_t bytes) {
  const double value = static_cast<double>(bytes) / 1e6;
  return value >= 10 ? fmt::format("{:.0f} MB", std::ceil(value))
                     : fmt::format("{:.1f} MB", std::ceil(value * 10) / 10);
}

fs::path existing_parent(const fs::path& path) {
  std::error_code ignored;
  fs::path folder = fs::absolute(path.empty() ? "." : path);
  while (!fs::exists(folder, ignored) && folder.has_relative_path()) {
    folder = folder.parent_path();
  }
  return folder;
}

/// errno says what failed; a full disk also says how full.
[[noreturn]] void fail_file(std::string_view verb, const fs::path& path) {
  const int error = errno;
  std::string message = fmt::format("cannot {} '{}': {}", verb, path.string(),
                                    std::generic_category().message(error));
  if (error == ENOSPC || error == EDQUOT) {
    message += fmt::format(" ({} free in {})", megabytes(free_bytes(path.parent_path())),
                           existing_parent(path.parent_path()).string());
  }
  fail(Exit::io, message);
}

int open_output(const fs::path& path, int flags) {
  struct stat facts {};
  const bool existed = ::lstat(path.c_str(), &facts) == 0;
  int descriptor = -1;
  if (fault::allows()) {
    do {
      descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    } while (descriptor < 0 && errno == EINTR);
  }
  if (descriptor < 0) {
    fail_file("create", path);
  }
  fault::note_open(descriptor);
  if (!existed) {
    fault::note_created_name(path);
  }
  return descriptor;
}

void sync_descriptor_of(const fs::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (descriptor < 0) {
    fail_file("open", path);
  }
  const bool synced = fault::allows() && ::fsync(descriptor) == 0;
  const int error = errno;
  if (synced) {
    fault::note_synced(descriptor);
  }
  ::close(descriptor);
  errno = error;
  // Some network file systems have no fsync for directories; there is nothing better to do there.
  if (!synced && !(errno == EINVAL && (flags & O_DIRECTORY) != 0)) {
    fail_file("sync", path);
  }
}

}  // namespace

OutputFile OutputFile::create(const fs::path& path) {
  OutputFile file;
  file.path_ = path;
  file.descriptor_ = open_output(path, O_TRUNC);
  return file;
}

OutputFile OutputFile::append_to(const fs::path& path) {
  OutputFile file;
  file.path_ = path;
  file.descriptor_ = open_output(path, O_APPEND);
  return file;
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      written_(other.written_),
      path_(std::move(other.path_)) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
    }
    descriptor_ = std::exchange(other.descriptor_, -1);
    written_ = other.written_;
    path_ = std::move(other.path_);
  }
  return *this;
}

void OutputFile::write(std::span<const std::byte> bytes) {
  if (!fault::allows()) {
    fail_file("write", path_);
  }
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0) {
      fail_file("write", path_);
    }
    written_ += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void OutputFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text.data(), text.size())));
}

void OutputFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  if (!fault::allows()) {
    fail_file("write", path_);
  }
  while (!bytes.empty()) {
    const ssize_t done =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done < 0) {
      fail_file("write", path_);
    }
    written_ += static_cast<uint64_t>(done);
    offset += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void OutputFile::truncate(uint64_t size) {
  if (!fault::allows() || ::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) {
    fail_file("resize", path_);
  }
}

void OutputFile::sync() {
  if (!fault::allows() || ::fsync(descriptor_) != 0) {
    fail_file("sync", path_);
  }
  fault::note_synced(descriptor_);
}

void OutputFile::close() {
  if (descriptor_ < 0) {
    return;
  }
  const bool allowed = fault::allows();
  const int error = errno;
  const bool closed = ::close(std::exchange(descriptor_, -1)) == 0;
  if (!allowed) {
    errno = error;
  }
  if (!allowed || !closed) {
    fail_file("close", path_);
  }
}

void make_directories(const fs::path& path) {
  std::error_code ignored;
  if (path.empty() || fs::is_directory(path, ignored)) {
    return;
  }
  make_directories(path.parent_path());
  if (!fault::allows() ||
      (::mkdir(path.c_str(), 0755) != 0 && !(errno == EEXIST && fs::is_directory(path, ignored)))) {
    fail_file("create folder", path);
  }
  fault::note_created_name(path);
}

void rename_path(const fs::path& from, const fs::path& to) {
  const bool allowed = fault::allows();
  const int error = errno;
  const auto restore = fault::keep_replaced(to);
  errno = error;
  if (!allowed || ::rename(from.c_str(), to.c_str()) != 0) {
    fail_file(fmt::format("rename '{}' to", from.string()), to);
  }
  fault::note_name(to, [from, to, restore] {
    std::error_code failed;
    fs::rename(to, from, failed);
    restore();
  });
}

bool exchange_paths(const fs::path& a, const fs::path& b) {
  if (!fault::allows()) {
    fail_file(fmt::format("exchange '{}' with", a.string()), b);
  }
  const auto exchange = [](const fs::path& one, const fs::path& other) {
    return ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE) == 0;
  };
  if (!exchange(a, b)) {
    if (errno == ENOSYS || errno == EINVAL || errno == EOPNOTSUPP) {
      return false;
    }
    fail_file(fmt::format("exchange '{}' with", a.string()), b);
  }
  fault::note_name(b, [a, b, exchange] { exchange(a, b); });
  return true;
}

void remove_file(const fs::path& path) {
  const bool allowed = fault::allows();
  const int error = errno;
  const auto restore = fault::keep_replaced(path);
  errno = error;
  if (!allowed || (::unlink(path.c_str()) != 0 && errno != ENOENT)) {
    fail_file("remove", path);
  }
  fault::note_name(path, restore);
}

void remove_tree(const fs::path& path) {
  const bool allowed = fault::allows();
  const int error = errno;
  const auto restore = fault::keep_replaced(path);
  errno = error;
  std::error_code failed;
  if (allowed) {
    fs::remove_all(path, failed);
    errno = failed.value();
  }
  if (!allowed || failed) {
    fail_file("remove", path);
  }
  fault::note_name(path, restore);
}

void sync_directory(const fs::path& path) {
  sync_descriptor_of(path.empty() ? fs::path(".") : path, O_DIRECTORY);
  fault::note_synced_directory(path);
}

void sync_file(const fs::path& path) { sync_descriptor_of(path, 0); }

void replace_symlink(const fs::path& link, const fs::path& target) {
  const fs::path temporary =
      link.parent_path() / fmt::format(".{}.tmp-{}", link.filename().string(), ::getpid());
  discard(temporary);
  if (!fault::allows() || ::symlink(target.c_str(), temporary.c_str()) != 0) {
    fail_file("create link", temporary);
  }
  fault::note_created_name(temporary);
  try {
    rename_path(temporary, link);
  } catch (const Error&) {
    discard(temporary);
    throw;
  }
  sync_directory(link.parent_path());
}

std::string read_file(const fs::path& path, const ReadOptions& options) {
  const std::string what = options.noun.empty()
                               ? fmt::format("'{}'", path.string())
                               : fmt::format("{} '{}'", options.noun, path.string());
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const bool by_cause = options.exit == Exit::bad_input;
  if (descriptor < 0) {
    fail_errno("cannot open " + what, by_cause ? exit_of_failed_open() : options.exit);
  }
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  struct stat facts {};
  const Exit unreadable = by_cause ? Exit::io : options.exit;
  if (::fstat(descriptor, &facts) != 0) {
    fail_errno("cannot read " + what, unreadable);
  }
  if (S_ISDIR(facts.st_mode)) {
    fail(options.exit, what + " is a directory, expected a file");
  }
  if (!S_ISREG(facts.st_mode)) {
    fail(options.exit, what + " is not a regular file");
  }
  if (static_cast<uint64_t>(facts.st_size) > options.max_bytes) {
    fail(options.exit, fmt::format("{} is larger than {}", what, human_bytes(options.max_bytes)));
  }
  std::string content(static_cast<size_t>(facts.st_size), '\0');
  size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t got = ::read(descriptor, content.data() + filled, content.size() - filled);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail_errno("cannot read " + what, unreadable);
    }
    if (got == 0) {
      break;
    }
    filled += static_cast<size_t>(got);
  }
  content.resize(filled);
  return content;
}

uint64_t free_bytes(const fs::path& path) {
  struct statvfs facts {};
  if (::statvfs(existing_parent(path).c_str(), &facts) != 0) {
    return UINT64_MAX;
  }
  return static_cast<uint64_t>(facts.f_bavail) * facts.f_frsize;
}

void check_free_space(const fs::path& folder, uint64_t needed_bytes, std::string_view note) {
  const uint64_t available = free_bytes(folder);
  if (available < needed_bytes) {
    fail(Exit::io,
         fmt::format("need {}, {} free in {}{}{}", megabytes(needed_bytes), megabytes(available),
                     existing_parent(folder).string(), note.empty() ? "" : "; ", note));
  }
}

void discard(const fs::path& path) noexcept {
  if (!fault::after_crash()) {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
}

}  // namespace llm
