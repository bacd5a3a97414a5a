// Files and directories that appear whole or not at all: written under a temporary name beside the
// target, synced, renamed, and the parent synced.
//
// Order for a directory (a checkpoint): temporary directory, files, sync of each file, manifest
// last, sync of the directory, rename, sync of the parent. A crash leaves the old state or the new
// one, and at most a temporary ".<name>.tmp-<pid>" that remove_leftovers() deletes. Throws
// Error(Exit::io) from base/file_io.h; on any exception the temporary is removed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_io.h"

namespace llm {

void write_file_atomically(const std::filesystem::path& path, std::string_view content);

/// A stream of writes that becomes `path` on commit(). Destroyed without commit: nothing remains.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes) { file_.write(bytes); }
  void write(std::string_view text) { file_.write(text); }
  void write_at(uint64_t offset, std::span<const std::byte> bytes) {
    file_.write_at(offset, bytes);
  }
  uint64_t bytes_written() const { return file_.bytes_written(); }
  OutputFile& file() { return file_; }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  OutputFile file_;
  bool committed_ = false;
};

/// A directory that becomes `path` on commit(). If `path` exists already, commit() swaps the two in
/// one step and then removes the old one.
class AtomicDirectory {
 public:
  /// needed_bytes > 0: checks the free space first ("need 812 MB, 96 MB free in /data<; note>").
  explicit AtomicDirectory(std::filesystem::path path, uint64_t needed_bytes = 0,
                           std::string_view note = {});
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  /// Write files below this; subdirectories may be made freely.
  const std::filesystem::path& temporary() const { return temporary_; }
  void write_file(const std::filesystem::path& name, std::string_view content);
  OutputFile create_file(const std::filesystem::path& name);
  /// Syncs every file and directory below temporary(), except those written by write_file (synced
  /// already).
  void sync_files();
  /// sync_files() if not yet done, then rename and sync of the parent. Write the manifest between
  /// sync_files() and commit().
  void commit();

 private:
  void replace_in_two_steps();

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  bool synced_ = false;
  bool committed_ = false;
};

/// A name that is free: PATH.old, PATH.old-2 ... for the ending "old".
std::filesystem::path free_name(const std::filesystem::path& path, std::string_view ending);

/// Removes a file, link or folder so that under its name there is all of it or nothing: it becomes
/// a temporary first, which a process that dies on the way leaves to remove_leftovers().
void remove_atomically(const std::filesystem::path& path);

/// Removes what interrupted processes left in `folder`; returns the names. Call it before making
/// temporaries there. `locked`: the caller holds the RunLock of the folder, so every temporary is a
/// leftover, even if its process number lives again as something else.
std::vector<std::string> remove_leftovers(const std::filesystem::path& folder, bool locked = false);

/// The same of one file alone, in a folder that others use as well.
void remove_leftovers_of(const std::filesystem::path& file);

}  // namespace llm
