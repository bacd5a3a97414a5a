// The dataset on disk: PREFIX.bin and PREFIX.index, little endian.
//
//   .index  magic "LLMIDX1\0" (8 bytes) | u32 version (1) | u32 dtype (4 = int32) | u64 n_seq | u64
//   total_tokens | 32 bytes SHA-256 of the tokenizer
//           | u64 offset[n_seq + 1]     byte positions of the sequences in .bin; the last is the
//           size of .bin
//   .bin    n_seq times { u32 length; i32 id[length] }, no padding
//
// Where not every token is to be learnt, PREFIX.mask says which (loss_mask.h). PREFIX.sum holds
// checksums of .bin (block_checksums.h).
//
// One document is one sequence, ended by the tokenizer's eos id. Offsets grow by 4 + 4 * length, so
// sequence s starts at token offset[s] / 4 - s of the packed stream without a look at .bin.
//
// `TokenFile` maps both files read-only (larger than memory is fine) and checks the whole index
// when it opens: magic, version, dtype, counts, every offset, the size of .bin, the tokenizer's
// identity. After that no offset can lead outside the mapping, whatever .bin holds. Ids and length
// words are checked by verify_token_file, and ids again as they are read. Const methods are
// thread-safe. Errors are exit 3, worded as in docs/reliability.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace llm {

class DatasetCommit;
class LossMask;
class MappedFile;

inline constexpr uint32_t kTokenFileVersion = 1;
inline constexpr int64_t kTokenIndexHeaderBytes = 64;

struct TokenFileChecks {
  std::string tokenizer_sha256;       // hex; empty = any tokenizer
  std::optional<int64_t> vocab_size;  // ids at or above it are errors when read
};

/// "x/train", "x/train.bin" and "x/train.index" all name the dataset x/train.
std::filesystem::path token_file_prefix(const std::filesystem::path& path);
std::filesystem::path token_bin_path(const std::filesystem::path& prefix);
std::filesystem::path token_index_path(const std::filesystem::path& prefix);
/// Whether `path` names an existing dataset (.index or .bin is there).
bool is_token_file(const std::filesystem::path& path);

class TokenFile {
 public:
  static TokenFile open(const std::filesystem::path& prefix, const TokenFileChecks& checks = {});
  TokenFile(TokenFile&&) noexcept;
  TokenFile& operator=(TokenFile&&) noexcept;
  ~TokenFile();

  const std::filesystem::path& prefix() const { return prefix_; }
  int64_t sequences() const { return sequences_; }
  int64_t tokens() const { return tokens_; }
  std::string tokenizer_sha256() const;  // hex
  std::optional<int64_t> vocab_size() const { return vocab_size_; }
  /// Which tokens are to be learnt; null: all.
  const LossMask* loss_mask() const { return mask_.get(); }

  /// Compares the length words of documents [first, last) with the index.
  void check_lengths(int64_t first, int64_t last) const;
  /// The ids of one document, unchecked.
  std::span<const int32_t> sequence(int64_t index) const;
  /// The first token of `sequence` in the packed stream; first_token(sequences()) == tokens().
  int64_t first_token(int64_t sequence) const {
    return static_cast<int64_t>(offsets_[sequence] / 4) - sequence;
  }
  /// The sequence that holds token `position`, which must be in [0, tokens()).
  int64_t sequence_of(int64_t position) const;
  /// Copies out.size() tokens of the packed stream from `position`; Error if the range leaves the
  /// stream, an id is out of the vocabulary, or the length of a document that begins there differs
  /// from the index.
  void read(int64_t position, std::span<int64_t> out) const;

  /// Hints before several reads far from each other, so that their cache misses overlap instead of
  /// following one another: first expect_search() for each, then expect_tokens() for each, then the
  /// reads. `position` must be in [0, tokens()); nothing is checked or copied.
  void expect_search(int64_t position) const;
  void expect_tokens(int64_t position, int64_t count) const;

  /// Reads all of .bin; false where there are no checksums (block_checksums.h).
  bool verify_checksums() const;

  /// SHA-256 (hex) of the index file: names the data in run records without reading .bin (offsets,
  /// counts and tokenizer enter it, ids do not).
  std::string index_sha256() const;

 private:
  TokenFile();
  void check_header();
  void check_sizes();
  void check_offsets() const;
  void check_tokenizer(const std::string& sha256) const;
  void build_landmarks();
  int64_t last_starting_by(int64_t position, int64_t low, int64_t high) const;

  std::filesystem::path prefix_;
  std::unique_ptr<MappedFile> bin_;
  std::unique_ptr<MappedFile> index_;
  std::unique_ptr<const LossMask> mask_;
  const uint64_t* offsets_ = nullptr;
  const int32_t* words_ = nullptr;  // .bin as 4-byte words
  int64_t sequences_ = 0;
  int64_t tokens_ = 0;
  std::optional<int64_t> vocab_size_;
  // landmarks_[k] is the sequence that holds token k << landmark_shift_: the search stays within
  // one bucket instead of the whole index.
  std::vector<int64_t> landmarks_;
  int landmark_shift_ = 0;
};

struct TokenFileReport {
  int64_t sequences = 0;
  int64_t tokens = 0;
  int64_t longest_sequence = 0;
  int32_t largest_id = 0;
  bool checksums = false;  // there were some, and they hold
};

/// Reads everything: every length word equals its index entry, every id is at least 0 and below the
/// vocabulary given in `checks`, every block of .bin has its checksum where PREFIX.sum tells it.
TokenFileReport verify_token_file(const std::filesystem::path& prefix,
                                  const TokenFileChecks& checks = {});

/// Streams sequences into temporary files beside PREFIX; finish() syncs them and puts them in place
/// of all files of the dataset that was there (dataset_commit.h). Without it nothing remains.
class TokenFileWriter {
 public:
  TokenFileWriter(const std::filesystem::path& prefix, std::string tokenizer_sha256);
  ~TokenFileWriter();
  TokenFileWriter(const TokenFileWriter&) = delete;
  TokenFileWriter& operator=(const TokenFileWriter&) = delete;

  /// One whole sequence. `learnt`: one byte for each id, 0 = not to be learnt; empty = all are.
  void append(std::span<const int32_t> ids, std::span<const uint8_t> learnt = {});
  /// A sequence in parts: any number of add(), then end_sequence().
  void add(std::span<const int32_t> ids, std::span<const uint8_t> learnt = {});
  void end_sequence();
  void finish();
  /// For finish() of several datasets at once: hands the files to `commit`, whole and synced.
  /// Returns the SHA-256 (hex) of the index. The writer takes nothing more.
  std::string stage(DatasetCommit& commit);

  int64_t sequences() const;
  int64_t tokens() const;
  int64_t tokens_to_learn() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llm
