// Checksums of a dataset's .bin, block by block, in PREFIX.sum: what tells a flipped bit that still
// gives a valid id.
//
//   magic "LLMSUMS1" (8 bytes) | u32 version (1) | u32 bytes of a block (1 MiB) | u64 size of .bin
//   | for each block, the last one shorter: its SHA-256 (32 bytes)
//
// Little endian. Reading a dataset does not look at it; `llm prepare-data --verify` does. Errors
// are exit 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <span>
#include <string>

#include "base/sha256.h"

namespace llm {

std::filesystem::path block_checksums_path(const std::filesystem::path& prefix);

/// Compares every block of PREFIX.bin, given mapped. False where there is no PREFIX.sum.
bool verify_block_checksums(const std::filesystem::path& prefix, std::span<const std::byte> bin);

/// Takes the bytes of a .bin in their order, and hears of what was written again.
class BlockChecksumWriter {
 public:
  void add(std::span<const std::byte> bytes);
  /// Bytes at `offset` are others now; its block is hashed anew in finish().
  void rewritten(uint64_t offset);
  /// The content of PREFIX.sum; `bin` is the whole .bin, wherever it lies.
  std::string finish(const std::filesystem::path& bin);

 private:
  void end_block();

  Sha256 hash_;
  uint64_t size_ = 0;
  uint64_t in_block_ = 0;
  std::string sums_;  // 32 bytes a block
  std::set<uint64_t> rewritten_;
};

}  // namespace llm
