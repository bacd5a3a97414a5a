#include "base/atomic_file.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <charconv>

#include "base/error.h"
#include "base/log.h"
#include "base/path_queries.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMark = ".tmp-";

/// ".name.7.tmp-4121": hidden, beside the target (rename does not cross file systems), and telling
/// whose it is; the number is another one for every writer of this process.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<uint64_t> writers{0};
  return path.parent_path() / fmt::format(".{}.{}{}{}", path.filename().string(),
                                          writers.fetch_add(1), kMark, ::getpid());
}

/// The process that made this temporary, 0 if the name is not one of ours.
pid_t owner_of(const std::string& name) {
  const size_t mark = name.rfind(kMark);
  if (name.empty() || name[0] != '.' || mark == std::string::npos) {
    return 0;
  }
  pid_t owner = 0;
  const char* begin = name.data() + mark + kMark.size();
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(begin, end, owner);
  return error == std::errc() && stop == end ? owner : 0;
}

/// Errors of `work` name the file that the user knows, not its temporary.
template <typename Work>
auto naming(const fs::path& path, const fs::path& temporary, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    std::string message = error.message();
    for (const std::string& words :
         {fmt::format("rename '{}' to '{}'", temporary.string(), path.string()),
          fmt::format("create '{}'", temporary.string())}) {
      if (const size_t at = message.find(words); at != std::string::npos) {
        message.replace(at, words.size(), fmt::format("write '{}'", path.string()));
      }
    }
    fail(error.code(), message, error.hint());
  }
}

}  // namespace

void write_file_atomically(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

fs::path free_name(const fs::path& path, std::string_view ending) {
  fs::path free = fmt::format("{}.{}", path.string(), ending);
  for (int number = 2; fs::exists(free); ++number) {
    free = fmt::format("{}.{}-{}", path.string(), ending, number);
  }
  return free;
}

void remove_atomically(const fs::path& path) {
  const fs::path doomed = temporary_beside(path);
  remove_tree(doomed);  // of a dead process that had our number
  rename_path(path, doomed);
  sync_directory(path.parent_path());
  remove_tree(doomed);
}

AtomicFile::AtomicFile(fs::path path)
    : path_(std::move(path)),
      temporary_(temporary_beside(path_)),
      file_(naming(path_, temporary_, [&] { return OutputFile::create(temporary_); })) {}

AtomicFile::~AtomicFile() {
  if (!committed_) {
    discard(temporary_);
  }
}

void AtomicFile::commit() {
  file_.sync();
  file_.close();
  naming(path_, temporary_, [&] { rename_path(temporary_, path_); });
  committed_ = true;
  sync_directory(path_.parent_path());
}

AtomicDirectory::AtomicDirectory(fs::path path, uint64_t needed_bytes, std::string_view note)
    : path_(std::move(path)), temporary_(temporary_beside(path_)) {
  check_free_space(path_.parent_path(), needed_bytes, note);
  discard(temporary_);  // of a dead process that had our number
  make_directories(temporary_);
}

AtomicDirectory::~AtomicDirectory() {
  if (!committed_) {
    discard(temporary_);
  }
}

OutputFile AtomicDirectory::create_file(const fs::path& name) {
  make_directories((temporary_ / name).parent_path());
  synced_ = false;
  return OutputFile::create(temporary_ / name);
}

void AtomicDirectory::write_file(const fs::path& name, std::string_view content) {
  const bool was_synced = synced_;
  OutputFile file = create_file(name);
  file.write(content);
  file.sync();
  file.close();
  if (was_synced) {
    sync_directory((temporary_ / name).parent_path());
    synced_ = true;
  }
}

void AtomicDirectory::sync_files() {
  std::vector<fs::path> folders{temporary_};
  for (const fs::directory_entry& entry : entries_below(temporary_)) {
    if (entry.is_symlink()) {
      continue;
    }
    if (entry.is_directory()) {
      folders.push_back(entry.path());
    } else {
      sync_file(entry.path());
    }
  }
  for (auto folder = folders.rbegin(); folder != folders.rend(); ++folder) {
    sync_directory(*folder);
  }
  synced_ = true;
}

namespace {

/// The new directory is in its place and whole: what cannot be removed of the old one is no failure
/// of who wrote it, and goes with the other leftovers.
void remove_former(const fs::path& former, const fs::path& path) {
  try {
    remove_tree(former);
  } catch (const Error& error) {
    log_warn("'{}' is replaced, but what it was could not be removed: {}", path.string(),
             error.message());
  }
}

}  // namespace

void AtomicDirectory::commit() {
  if (!synced_) {
    sync_files();
  }
  if (!fs::exists(fs::symlink_status(path_))) {
    rename_path(temporary_, path_);
    committed_ = true;
    sync_directory(path_.parent_path());
    return;
  }
  if (!exchange_paths(temporary_, path_)) {
    replace_in_two_steps();
    return;
  }
  committed_ = true;
  sync_directory(path_.parent_path());
  remove_former(temporary_, path_);  // (the two names were exchanged)
}

/// For file systems without an atomic exchange: a crash between the two renames leaves the old
/// directory under its ".old" name.
void AtomicDirectory::replace_in_two_steps() {
  const fs::path old = path_.parent_path() /
                       fmt::format(".{}.old{}{}", path_.filename().string(), kMark, ::getpid());
  discard(old);
  rename_path(path_, old);
  rename_path(temporary_, path_);
  committed_ = true;
  sync_directory(path_.parent_path());
  remove_former(old, path_);
}

namespace {

/// Of the temporaries in `folder` those whose names begin so.
std::vector<std::string> remove_temporaries(const fs::path& folder, std::string_view beginning,
                                            bool locked) {
  std::vector<std::string> removed;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    const pid_t owner = owner_of(name);
    const auto is_gone = [&] {
      return owner == ::getpid() || (::kill(owner, 0) != 0 && errno == ESRCH);
    };
    if (owner > 0 && name.starts_with(beginning) && (locked || is_gone())) {
      remove_tree(entry.path());
      removed.push_back(name);
    }
  }
  return removed;
}

}  // namespace

std::vector<std::string> remove_leftovers(const fs::path& folder, bool locked) {
  return remove_temporaries(folder, ".", locked);
}

void remove_leftovers_of(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  remove_temporaries(folder, fmt::format(".{}.", file.filename().string()), /*locked=*/false);
}

}  // namespace llm
