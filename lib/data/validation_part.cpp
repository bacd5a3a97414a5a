#include "data/validation_part.h"

#include <string>
#include <string_view>

#include "base/file_io.h"
#include "base/log.h"
#include "base/sha256.h"
#include "data/block_checksums.h"
#include "data/chat_format.h"
#include "data/dataset_commit.h"
#include "data/loss_mask.h"
#include "data/token_file.h"

namespace llm {
namespace {

std::filesystem::path split_mark_path(const std::filesystem::path& prefix) {
  return prefix.string() + ".split";
}

std::string split_mark_of(const std::string& index_sha256) { return index_sha256 + "\n"; }

}  // namespace

std::filesystem::path validation_prefix(const std::filesystem::path& prefix) {
  std::string name = prefix.filename().string();
  constexpr std::string_view kTrain = "train";
  size_t found = name.rfind(kTrain);
  std::string other = found == std::string::npos
                          ? name + "-val"
                          : name.substr(0, found) + "val" + name.substr(found + kTrain.size());
  return prefix.parent_path() / other;
}

std::vector<std::filesystem::path> dataset_files(const std::filesystem::path& prefix) {
  return {token_index_path(prefix),     token_bin_path(prefix),        loss_mask_path(prefix),
          block_checksums_path(prefix), dataset_template_path(prefix), split_mark_path(prefix)};
}

void remove_dataset(const std::filesystem::path& prefix) {
  for (const std::filesystem::path& file : dataset_files(prefix)) {
    remove_file(file);
  }
}

void mark_as_split_off(const std::filesystem::path& validation, const std::string& index_sha256,
                       DatasetCommit& commit) {
  commit.add(split_mark_path(validation), split_mark_of(index_sha256));
}

bool has_former_validation_part(const std::filesystem::path& train) {
  const std::filesystem::path old = validation_prefix(train);
  const std::filesystem::path index = token_index_path(old);
  const std::filesystem::path mark = split_mark_path(old);
  const bool is_marked = std::filesystem::is_regular_file(mark);
  if (!std::filesystem::exists(index)) {
    return is_marked;
  }
  if (is_marked && read_file(mark) == split_mark_of(sha256_file(index))) {
    return true;
  }
  log_warn("'{}' is not from this run; training on '{}' validates on it", old.string(),
           train.string());
  return false;
}

}  // namespace llm
