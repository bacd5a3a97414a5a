#include "base/fault_plan.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace llm {
namespace {

namespace fs = std::filesystem;

FaultPlan::State* current = nullptr;

fs::path parent_of(const fs::path& path) {
  return fs::absolute(path).lexically_normal().parent_path();
}

uint64_t inode_of(int descriptor) {
  struct stat facts {};
  return ::fstat(descriptor, &facts) == 0 ? facts.st_ino : 0;
}

uint64_t size_of(int descriptor) {
  struct stat facts {};
  return ::fstat(descriptor, &facts) == 0 ? static_cast<uint64_t>(facts.st_size) : 0;
}

}  // namespace

fs::path FaultPlan::State::next_backup() {
  if (backup_folder.empty()) {
    std::string name = (fs::temp_directory_path() / "fault-plan-XXXXXX").string();
    check(::mkdtemp(name.data()) != nullptr, "fault plan: no temporary folder");
    backup_folder = name;
  }
  return backup_folder / fmt::format("{}", ++backups);
}

FaultPlan::FaultPlan() : state_(std::make_unique<State>()) {
  check(current == nullptr, "fault plan: one at a time");
  current = state_.get();
}

FaultPlan::~FaultPlan() {
  current = nullptr;
  for (const State::File& file : state_->files) {
    ::close(file.descriptor);
  }
  std::error_code ignored;
  if (!state_->backup_folder.empty()) {
    fs::remove_all(state_->backup_folder, ignored);
  }
}

void FaultPlan::fail_operation(int n, int error_number) {
  state_->fail_at = n;
  state_->error_number = error_number;
}

void FaultPlan::crash_at(int n) { state_->crash_at = n; }
int FaultPlan::operations() const { return state_->count; }
bool FaultPlan::crashed() const { return state_->crashed; }

void FaultPlan::lose_unsynced(Loss loss) {
  if (loss != Loss::names_only) {
    for (const State::File& file : state_->files) {
      if (size_of(file.descriptor) > file.synced_size) {
        check(::ftruncate(file.descriptor, static_cast<off_t>(file.synced_size)) == 0,
              "fault plan: cannot truncate");
      }
    }
  }
  if (loss != Loss::data_only) {
    for (auto name = state_->names.rbegin(); name != state_->names.rend(); ++name) {
      if (!name->durable) {
        name->undo();
      }
    }
  }
  state_->names.clear();
  state_->crashed = false;
  state_->crash_at = 0;
}

namespace fault {

FaultPlan::State* active() { return current; }

bool after_crash() noexcept { return current != nullptr && current->crashed; }

bool allows() {
  if (current == nullptr) {
    return true;
  }
  if (current->crashed) {
    throw SimulatedCrash{current->count};
  }
  ++current->count;
  if (current->count == current->crash_at) {
    current->crashed = true;
    throw SimulatedCrash{current->count};
  }
  if (current->count == current->fail_at) {
    errno = current->error_number;
    return false;
  }
  return true;
}

void note_open(int descriptor) {
  if (current != nullptr) {
    current->files.push_back(
        {::fcntl(descriptor, F_DUPFD_CLOEXEC, 3), inode_of(descriptor), size_of(descriptor)});
  }
}

void note_created_name(const fs::path& path) {
  note_name(path, [path] {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  });
}

void note_synced(int descriptor) {
  if (current != nullptr) {
    const uint64_t inode = inode_of(descriptor);
    for (FaultPlan::State::File& file : current->files) {
      if (file.inode == inode) {
        file.synced_size = size_of(descriptor);
      }
    }
  }
}

void note_synced_directory(const fs::path& path) {
  if (current != nullptr) {
    const fs::path directory = parent_of(path / "x");
    for (FaultPlan::State::Name& name : current->names) {
      name.durable = name.durable || name.directory == directory;
    }
  }
}

std::function<void()> keep_replaced(const fs::path& path) {
  std::error_code ignored;
  if (current == nullptr || !fs::exists(fs::symlink_status(path, ignored))) {
    return [] {};
  }
  const fs::path backup = current->next_backup();
  fs::copy(path, backup, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  return [path, backup] {
    std::error_code error;
    fs::copy(backup, path, fs::copy_options::recursive | fs::copy_options::copy_symlinks, error);
  };
}

void note_name(const fs::path& path, std::function<void()> undo) {
  if (current != nullptr) {
    current->names.push_back({parent_of(path), std::move(undo), false});
  }
}

}  // namespace fault
}  // namespace llm
