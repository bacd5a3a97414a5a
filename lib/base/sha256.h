// SHA-256 (FIPS 180-4) through OpenSSL: the identity of tokenizers, datasets, configs and
// checkpoint files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace llm {

/// Incremental hash. Not thread-safe; movable. After finish() only destruction is allowed.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::string_view bytes);
  void update(std::span<const std::byte> bytes);
  /// 64 lower-case hex digits.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

std::string sha256_hex(std::string_view bytes);
std::string sha256_hex(std::span<const std::byte> bytes);

/// Reads the file in blocks; throws Error(Exit::io) naming it.
std::string sha256_file(const std::filesystem::path& path);

}  // namespace llm
