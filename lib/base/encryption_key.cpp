#include "base/encryption_key.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file_io.h"
#include "base/hex.h"
#include "base/log.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// Neither of these stays behind in freed memory.
struct KeyBytes {
  std::array<std::byte, EncryptionKey::kBytes> bytes{};
  ~KeyBytes() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};
struct KeyText {
  std::string bytes;
  ~KeyText() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
};

bool spells_key(std::string_view text) {
  return text.size() == 2 * EncryptionKey::kBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return hex_value(c) >= 0; });
}

std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

void warn_of_other_readers(const fs::path& file) {
  constexpr fs::perms kOthers = fs::perms::group_read | fs::perms::others_read;
  if ((fs::status(file).permissions() & kOthers) != fs::perms::none) {
    log_warn("encryption key '{}' can be read by other users (chmod 600 forbids it)",
             file.string());
  }
}

}  // namespace

EncryptionKey::EncryptionKey(std::span<const std::byte, kBytes> bytes) {
  const auto held = std::make_shared<KeyBytes>();
  std::copy(bytes.begin(), bytes.end(), held->bytes.begin());
  bytes_ = {held, &held->bytes};
}

EncryptionKey read_encryption_key(const fs::path& file) {
  if (file.empty()) return {};
  const KeyText text{read_file(file, {.noun = "encryption key"})};
  warn_of_other_readers(file);
  const std::string_view digits = without_line_end(text.bytes);
  KeyBytes key;
  if (text.bytes.size() == EncryptionKey::kBytes) {
    std::memcpy(key.bytes.data(), text.bytes.data(), text.bytes.size());
  } else if (spells_key(digits)) {
    hex_to_bytes(digits, {reinterpret_cast<unsigned char*>(key.bytes.data()), key.bytes.size()});
  } else {
    fail(Exit::bad_input,
         fmt::format("encryption key '{}' has {} bytes; it must be 32 bytes or 64 hexadecimal "
                     "digits",
                     file.string(), text.bytes.size()),
         "head -c 32 /dev/urandom > FILE makes one");
  }
  return EncryptionKey(key.bytes);
}

}  // namespace llm
