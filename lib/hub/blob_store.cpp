#include "hub/blob_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_io.h"
#include "base/log.h"

namespace llm {

namespace fs = std::filesystem;

BlobLock::BlobLock(const fs::path& file, const std::function<bool()>& stop) {
  make_directories(file.parent_path());
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor < 0) fail_errno(fmt::format("cannot open lock '{}'", file.string()));
  bool told = false;
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      const int error = errno;
      ::close(descriptor);
      errno = error;
      fail_errno(fmt::format("cannot lock '{}'", file.string()));
    }
    if (!std::exchange(told, true))
      log_info("waiting for another process that loads the same file");
    if (stop && stop()) {
      ::close(descriptor);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  descriptor_ = descriptor;
}

BlobLock::~BlobLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

fs::path BlobStore::incomplete(const std::string& tag) const {
  return folder_ / "blobs" / (tag + ".incomplete");
}

fs::path BlobStore::lock_file(const std::string& tag) const {
  return folder_.parent_path() / ".locks" / folder_.filename() / (tag + ".lock");
}

fs::path BlobStore::snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}

void BlobStore::make_folders() const {
  make_directories(folder_ / "blobs");
  make_directories(folder_ / "refs");
}

void BlobStore::link(const std::string& commit, const std::string& file,
                     const std::string& tag) const {
  const fs::path link = snapshot(commit) / file;
  make_directories(link.parent_path());
  fs::path target = fs::path("..") / "..";
  for (const char c : file) {
    if (c == '/') target = ".." / target;
  }
  target = target / "blobs" / tag;
  std::error_code ignored;
  if (fs::is_symlink(link, ignored) && fs::read_symlink(link, ignored) == target) return;
  replace_symlink(link, target);
}

void BlobStore::refer(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return;
  const fs::path file = folder_ / "refs" / revision;
  make_directories(file.parent_path());
  write_file_atomically(file, commit);
}

}  // namespace llm
