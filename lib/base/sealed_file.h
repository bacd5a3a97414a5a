// Files of weights and optimizer state under a key: what --encryption-key-file makes of them.
//
//    0  "\x89LLMSEAL"      as a safetensors file its header would be 5e18 bytes long
//    8  u32 version = 1    little endian, as all numbers here
//   12  u32 segment_bytes  1 MiB
//   16  salt (16)          random, another for every file
//   32  commitment (32)
//   64  segments: each holds segment_bytes of the plain file under AES-256-GCM and a tag (16); the
//       last holds the rest, which is empty only where the plain file is
//
// HKDF-SHA256 (RFC 5869) makes 64 bytes of the user's key, with the salt, and with "llm sealed
// file" and the first 16 bytes as info: the key of this file, and the commitment, which tells a
// wrong key from a damaged segment and which no second key gives.
//
// A segment's nonce is its number (11 bytes, big endian, from 0) and a byte that is 1 for the last.
// So each opens in its own place of its own file only, and the last as the last: what was changed,
// left out, exchanged or added is refused. This is the STREAM construction of Hoang, Reyhanitabar,
// Rogaway and Vizar, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"
// (https://eprint.iacr.org/2015/189), in the form that age (https://age-encryption.org/v1) gives
// it. Nonces never repeat under one key, as each file has its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "base/encryption_key.h"
#include "base/file_io.h"
#include "base/mapped_file.h"

namespace llm {

inline constexpr uint32_t kSegmentBytes = 1 << 20;

/// Whether the file begins as sealed ones do.
bool is_sealed(std::span<const std::byte> file);
/// Of a file that is there; false where it cannot be read.
bool is_sealed(const std::filesystem::path& file);
/// The size of a sealed file.
uint64_t sealed_bytes(uint64_t plain_bytes, uint32_t segment_bytes = kSegmentBytes);

/// Seals a stream of plain bytes: nothing of them reaches the file but under the key. At most two
/// segments are in memory. Not thread-safe.
class SealedWriter {
 public:
  /// Writes the header. `file` must outlive this.
  SealedWriter(OutputFile& file, const EncryptionKey& key, uint32_t segment_bytes = kSegmentBytes);
  ~SealedWriter();
  SealedWriter(const SealedWriter&) = delete;
  SealedWriter& operator=(const SealedWriter&) = delete;

  void write(std::span<const std::byte> plain);
  /// The last segment; without it the file does not open.
  void finish();

 private:
  void seal_segment(bool last);

  OutputFile& file_;
  std::unique_ptr<class SegmentCipher> cipher_;
  std::vector<std::byte> plain_, sealed_;
  size_t filled_ = 0;  // of plain_
};

/// A plain file, mapped; a sealed one as what it holds, in memory instead of a mapping. Throws what
/// MappedFile::open throws, and Error(bad_input) naming the file (and the segment): "'x' is
/// encrypted: give --encryption-key-file", "'x' cannot be opened with this key (wrong key, or the
/// file was changed)", "'x' is damaged: segment 3 of 12 was changed, or the file's length was".
MappedFile open_file(const std::filesystem::path& path, const EncryptionKey& key,
                     AccessPattern pattern = AccessPattern::normal);

}  // namespace llm
