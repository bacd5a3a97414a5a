// The inside of FaultPlan, seen by file_io.cpp only: every operation asks the gate first and notes
// afterwards what it did.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/file_io.h"

namespace llm {

struct FaultPlan::State {
  struct Name {
    std::filesystem::path directory;  // whose sync makes the change last
    std::function<void()> undo;
    bool durable = false;
  };
  struct File {
    int descriptor;  // a duplicate: the file is found again whatever its name is by then
    uint64_t inode;
    uint64_t synced_size;
  };
  int count = 0, fail_at = 0, error_number = 0, crash_at = 0;
  bool crashed = false;
  std::vector<Name> names;
  std::vector<File> files;
  std::filesystem::path backup_folder;
  int backups = 0;

  std::filesystem::path next_backup();
};

namespace fault {

FaultPlan::State* active();
bool after_crash() noexcept;

/// Counts one operation; false with errno set if the plan wants it to fail.
bool allows();

void note_open(int descriptor);
void note_created_name(const std::filesystem::path& path);
void note_synced(int descriptor);
void note_synced_directory(const std::filesystem::path& path);
/// Before a rename, link or removal takes the name away from what holds it now; returns how to
/// bring that back.
std::function<void()> keep_replaced(const std::filesystem::path& path);
void note_name(const std::filesystem::path& path, std::function<void()> undo);

}  // namespace fault
}  // namespace llm
