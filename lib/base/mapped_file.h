// A read-only file in memory (mmap).
//
// If the file is truncated or replaced while mapped, touching a lost page raises SIGBUS. A handler,
// installed with the first mapping, finds the file and prints "llm: error: 'x.bin' changed size
// during training (SIGBUS at offset N)" with signal-safe calls only, then ends the process with
// exit 4. A SIGBUS anywhere else keeps its usual meaning. At most 4096 mappings at a time are
// recognised by name. Move-only; const and thread-safe after open.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace llm {

enum class AccessPattern { normal, sequential, random };

class MappedFile {
 public:
  /// Throws with `exit`: "cannot open 'x': No such file or directory", "'x' is a directory", "'x'
  /// is not a regular file". An empty file is an empty span.
  static MappedFile open(const std::filesystem::path& path,
                         AccessPattern pattern = AccessPattern::normal,
                         Exit exit = Exit::bad_input);

  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  /// Bytes of this part that fill whole pages need not stay in memory; they remain readable.
  void release(size_t offset, size_t length) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int slot_ = -1;
  std::filesystem::path path_;
};

/// The word after "during" in the SIGBUS message; a string literal, "use" at first. A trainer sets
/// "training".
void set_mapping_activity(const char* word);

}  // namespace llm
