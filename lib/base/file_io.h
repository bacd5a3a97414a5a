// The one place that opens, writes, syncs, renames and removes files that the program makes. Each
// call is one numbered operation of a FaultPlan, so a test can fail the Nth of them with any errno,
// or stop at the Nth and lose what was not yet synced, and see what is left.
//
// Every function throws Error(Exit::io) "cannot <verb> '<path>': <errno text>". ENOSPC while
// writing adds "needs X MB, Y MB free in <folder>" where the need is known. Thread-safe except for
// the FaultPlan, which is for single-threaded tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace llm {

/// An output file: owner of a descriptor. Closed by the destructor; close() reports errors.
class OutputFile {
 public:
  /// O_CREAT|O_TRUNC, mode 0644.
  static OutputFile create(const std::filesystem::path& path);
  /// O_CREAT|O_APPEND.
  static OutputFile append_to(const std::filesystem::path& path);
  OutputFile() = default;
  ~OutputFile();
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  void truncate(uint64_t size);
  void sync();  // fsync
  void close();
  uint64_t bytes_written() const { return written_; }
  const std::filesystem::path& path() const { return path_; }
  bool is_open() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
  uint64_t written_ = 0;
  std::filesystem::path path_;
};

void make_directories(const std::filesystem::path& path);
void rename_path(const std::filesystem::path& from, const std::filesystem::path& to);
/// Swaps two existing names in one step (renameat2). False where the file system cannot.
bool exchange_paths(const std::filesystem::path& a, const std::filesystem::path& b);
void remove_file(const std::filesystem::path& path);  // absent is fine
void remove_tree(const std::filesystem::path& path);  // absent is fine
void sync_directory(const std::filesystem::path& path);
void sync_file(const std::filesystem::path& path);
/// Points `link` at `target` (a relative name): a temporary link, renamed over the old one, then a
/// sync of the folder.
void replace_symlink(const std::filesystem::path& link, const std::filesystem::path& target);

struct ReadOptions {
  std::string_view noun = {};  // "config": cannot open config 'x': ...
  uint64_t max_bytes = uint64_t{1} << 40;
  Exit exit = Exit::bad_input;
};
/// Whole file as text. Throws "cannot open config 'x': <errno>", "config 'x' is a directory,
/// expected a file", "config 'x' is larger than 1.0 MiB", with `exit`; where that is bad_input, a
/// file that is there and may not be read is io.
std::string read_file(const std::filesystem::path& path, const ReadOptions& options = {});

/// Bytes that this user may still write to the file system of `path` (its nearest existing parent).
uint64_t free_bytes(const std::filesystem::path& path);
/// Throws Error(Exit::io) "need 812 MB, 96 MB free in /data<; note>" when it would not fit.
void check_free_space(const std::filesystem::path& folder, uint64_t needed_bytes,
                      std::string_view note = {});

/// For destructors: removes what is there and says nothing. After a simulated crash it does
/// nothing.
void discard(const std::filesystem::path& path) noexcept;

/// Thrown by the operation at which a FaultPlan simulates the loss of power. Not an Error: nothing
/// in the program catches it.
struct SimulatedCrash {
  int operation;
};

/// What the power loss takes. A real disk may do any of these.
enum class Loss { data_and_names, data_only, names_only };

/// Test hook. While one lives, operations are counted from 1. One at a time.
class FaultPlan {
 public:
  FaultPlan();
  ~FaultPlan();
  FaultPlan(const FaultPlan&) = delete;
  FaultPlan& operator=(const FaultPlan&) = delete;

  /// The Nth operation fails with this errno (once).
  void fail_operation(int n, int error_number);
  /// The Nth operation throws SimulatedCrash before it takes effect, and so does every later one.
  void crash_at(int n);
  int operations() const;
  bool crashed() const;
  /// After a SimulatedCrash: takes back what a disk may have lost. Data: files go back to their
  /// length at the last sync. Names: files never synced into their directory vanish; renames, links
  /// and removals not followed by a sync of the directory are undone. Operations work again
  /// afterwards.
  void lose_unsynced(Loss loss = Loss::data_and_names);

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace llm
