#include "data/dataset_commit.h"

#include <ranges>

#include "base/error.h"
#include "base/file_io.h"
#include "base/log.h"
#include "data/validation_part.h"

namespace llm {

void DatasetCommit::replace(const std::filesystem::path& prefix) {
  for (const std::filesystem::path& place : dataset_files(prefix)) {
    if (std::filesystem::exists(std::filesystem::symlink_status(place))) {
      // An empty file holds the name, so that no file has to be made among the renames.
      old_.push_back({place, std::make_unique<AtomicFile>(place)});
      old_.back().file->file().close();
    }
  }
}

void DatasetCommit::add(const std::filesystem::path& place, std::unique_ptr<AtomicFile> file) {
  file->file().sync();
  file->file().close();
  new_.push_back({place, std::move(file)});
}

void DatasetCommit::add(const std::filesystem::path& place, std::string_view content) {
  auto file = std::make_unique<AtomicFile>(place);
  file->write(content);
  add(place, std::move(file));
}

void DatasetCommit::commit() {
  try {
    change_names();
  } catch (const Error&) {
    take_back();
    throw;
  }
}

/// Each sync makes the renames before it last before those after it can.
void DatasetCommit::change_names() {
  take_away(/*indexes=*/true);
  sync();
  take_away(/*indexes=*/false);
  put(/*indexes=*/false);
  sync();
  put(/*indexes=*/true);
  sync();
}

void DatasetCommit::take_away(bool indexes) {
  for (const Staged& old : old_) {
    if (old.is_index() == indexes) {
      rename(old.place, old.temporary());
    }
  }
}

void DatasetCommit::put(bool indexes) {
  for (const Staged& made : std::views::reverse(new_)) {
    if (made.is_index() == indexes) {
      rename(made.temporary(), made.place);
    }
  }
}

void DatasetCommit::rename(const std::filesystem::path& from, const std::filesystem::path& to) {
  rename_path(from, to);
  renamed_.emplace_back(from, to);
}

void DatasetCommit::sync() { sync_directory(new_.front().place.parent_path()); }

/// In reverse, so that the old indexes come last. Where this fails too, it stops: without its index
/// the dataset is refused.
void DatasetCommit::take_back() {
  if (renamed_.empty()) {
    return;
  }
  try {
    for (; !renamed_.empty(); renamed_.pop_back()) {
      rename_path(renamed_.back().second, renamed_.back().first);
    }
    sync();
  } catch (const Error& error) {
    log_warn("not all files may be as they were: {}", error.message());
  }
}

}  // namespace llm
