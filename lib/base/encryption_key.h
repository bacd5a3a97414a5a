// The key that files of weights are sealed with (sealed_file.h). Copies share one place in memory,
// which is wiped when the last of them goes. There is no way to print it. Thread-safe after
// construction.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace llm {

class EncryptionKey {
 public:
  static constexpr size_t kBytes = 32;

  EncryptionKey() = default;  // none
  explicit EncryptionKey(std::span<const std::byte, kBytes> bytes);
  explicit operator bool() const { return bytes_ != nullptr; }
  /// Not to be asked of none.
  std::span<const std::byte, kBytes> bytes() const { return *bytes_; }

 private:
  std::shared_ptr<const std::array<std::byte, kBytes>> bytes_;
};

/// A file of exactly 32 bytes, or of 64 hexadecimal digits and at most a line's end. An empty path
/// is no key. Warns where others than the file's owner may read it. Throws what read_file() throws,
/// and Error(bad_input) "encryption key 'x' has 31 bytes; it must be 32 bytes or 64 hexadecimal
/// digits".
EncryptionKey read_encryption_key(const std::filesystem::path& file);

}  // namespace llm
