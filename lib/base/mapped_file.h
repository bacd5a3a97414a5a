// A read-only file in memory (mmap).
//
// If the file is truncated or replaced while mapped, touching a lost page raises SIGBUS. A handler,
// installed with the first mapping, finds the file and prints "llm: error: 'x.bin' changed size
// during training (SIGBUS at offset N)" with signal-safe calls only, then ends the process with
// exit 4. A SIGBUS anywhere else keeps its usual meaning. At most 4096 mappings at a time are
// recognised by name.
//
// A file that is open already, unchanged since, is not mapped a second time (access pattern
// normal): pages that one reader asked for are there for the next. What an encrypted file holds
// lies in memory instead (sealed_file.h). Move-only; const and thread-safe after open.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

struct stat;

namespace llm {

enum class AccessPattern { normal, sequential, random };

class MappedFile {
 public:
  /// Throws Error(bad_input) "cannot open 'x': No such file or directory", "'x' is a directory",
  /// "'x' is not a regular file"; with `unreadable` where the system refuses a file that is there:
  /// "cannot open 'x': Permission denied". An empty file is an empty span.
  static MappedFile open(const std::filesystem::path& path,
                         AccessPattern pattern = AccessPattern::normal, Exit unreadable = Exit::io);

  /// Instead of a mapping of the file, `size` bytes of memory that `fill` writes (called once, in
  /// any case), and nobody later. Throws what `fill` throws, and bad_alloc.
  static MappedFile in_memory(const std::filesystem::path& path, size_t size,
                              const std::function<void(std::span<std::byte>)>& fill);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { swap(other); }
  MappedFile& operator=(MappedFile&& other) noexcept {
    swap(other);
    return *this;
  }

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  /// Bytes of this part that fill whole pages need not stay in memory, if they come from the file;
  /// they remain readable.
  void release(size_t offset, size_t length) const;
  /// Brings the whole file into memory and maps its pages, at one call instead of a fault every
  /// sixteen pages. A system that cannot does nothing.
  void populate() const;

  struct Mapping;

 private:
  static std::shared_ptr<const Mapping> shared_mapping(int descriptor, const struct ::stat& facts,
                                                       const std::string& path);
  void swap(MappedFile& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(path_, other.path_);
  }

  std::shared_ptr<const Mapping> mapping_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::filesystem::path path_;
};

/// The word after "during" in the SIGBUS message; a string literal, "use" at first. A trainer sets
/// "training".
void set_mapping_activity(const char* word);

}  // namespace llm
