// Puts the new files of one or several datasets in their places together, in two phases.
//
// First every file is written whole under a temporary name and synced: whatever fails or is killed
// until then leaves the datasets that are there as they were. Then commit() changes names only. The
// old indexes go first, the new ones come last, and the folder is synced between: without its index
// a .bin is refused, so a process that dies on the way leaves a dataset that is refused, never
// parts of two. Where a change of a name fails, all of them are taken back and the old datasets
// stand again. The dataset named first is the first to go and the last to come.
//
// All files lie in one folder. One thread, one process per dataset. Errors: Error(io).
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/atomic_file.h"

namespace llm {

/// Destroyed without commit(): nothing has changed, and no temporary remains.
class DatasetCommit {
 public:
  /// commit() takes away all files of the dataset that are there now.
  void replace(const std::filesystem::path& prefix);
  /// A new file, written whole, is synced and closed here and put at `place` by commit().
  void add(const std::filesystem::path& place, std::unique_ptr<AtomicFile> file);
  void add(const std::filesystem::path& place, std::string_view content);
  void commit();

 private:
  struct Staged {
    std::filesystem::path place;
    std::unique_ptr<AtomicFile> file;  // has the temporary name, and removes what is left there

    const std::filesystem::path& temporary() const { return file->file().path(); }
    bool is_index() const { return place.extension() == ".index"; }
  };

  void change_names();
  void take_away(bool indexes);
  void put(bool indexes);
  void rename(const std::filesystem::path& from, const std::filesystem::path& to);
  void sync();
  void take_back();

  std::vector<Staged> old_;  // the temporary: where an old file is kept until all is done
  std::vector<Staged> new_;
  std::vector<std::pair<std::filesystem::path, std::filesystem::path>> renamed_;  // from, to
};

}  // namespace llm
