// Which tokens of a dataset are to be learnt: PREFIX.mask, beside PREFIX.bin and PREFIX.index. A
// dataset without the file is learnt whole.
//
//   magic "LLMMASK1" (8 bytes) | u32 version (1) | u32 0 | u64 total_tokens | u64 tokens to learn
//   | 32 bytes SHA-256 of PREFIX.index | one bit per token of the packed stream, little end first,
//   1 = to learn, the last byte filled with 0
//
// Little endian, as the dataset. The hash ties the mask to its dataset. Errors are exit 3. Const
// methods are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llm {

class AtomicFile;
class DatasetCommit;
class MappedFile;

inline constexpr uint32_t kLossMaskVersion = 1;

std::filesystem::path loss_mask_path(const std::filesystem::path& prefix);

class LossMask {
 public:
  /// Null where the dataset has none. `index` is PREFIX.index. Checks everything, the number of
  /// bits too.
  static std::unique_ptr<const LossMask> open(const std::filesystem::path& prefix, int64_t tokens,
                                              std::span<const std::byte> index);
  ~LossMask();

  int64_t tokens() const { return tokens_; }
  int64_t tokens_to_learn() const { return to_learn_; }
  bool learns(int64_t position) const { return (bits_[position / 8] >> (position % 8) & 1) != 0; }
  /// One byte per token from `position` on, 1 = to learn.
  void read(int64_t position, std::span<uint8_t> out) const;
  /// How many of [begin, end) are to be learnt.
  int64_t count(int64_t begin, int64_t end) const;
  std::string sha256() const;

 private:
  LossMask() = default;
  void check_header(const std::string& index_sha256);
  void check_bits() const;

  std::unique_ptr<MappedFile> file_;
  const uint8_t* bits_ = nullptr;
  int64_t tokens_ = 0;
  int64_t to_learn_ = 0;
};

/// Writes a mask as the tokens come. As long as all are to be learnt it writes nothing, and then
/// no file is made.
class LossMaskWriter {
 public:
  explicit LossMaskWriter(std::filesystem::path prefix);
  ~LossMaskWriter();

  /// The next `count` tokens; `learnt` has one byte for each, or is empty where all are to learn.
  void add(size_t count, std::span<const uint8_t> learnt);
  uint64_t tokens_to_learn() const { return to_learn_; }
  /// Hands the file to `commit`, where there is one.
  void stage(DatasetCommit& commit, const std::string& index_sha256);

 private:
  void begin();
  void put(bool learnt);
  void flush();

  std::filesystem::path path_;
  std::unique_ptr<AtomicFile> file_;
  std::vector<uint8_t> bytes_;  // not yet written
  uint64_t tokens_ = 0;
  uint64_t to_learn_ = 0;
};

}  // namespace llm
