#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/sha256.h"
#include "data/block_checksums.h"
#include "data/dataset_commit.h"
#include "data/loss_mask.h"
#include "data/token_file.h"
#include "data/token_index_header.h"

namespace llm {
namespace {

constexpr size_t kBufferWords = size_t{256} << 10;
constexpr uint64_t kWritebackWords = uint64_t{4} << 20;
constexpr int64_t kMaxSequence = std::numeric_limits<int32_t>::max();

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace

struct TokenFileWriter::State {
  std::filesystem::path prefix;
  std::unique_ptr<AtomicFile> bin;
  std::unique_ptr<AtomicFile> index;
  LossMaskWriter mask;
  BlockChecksumWriter sums;
  TokenIndexHeader header{};
  std::vector<int32_t> words;     // of .bin, not yet written
  std::vector<uint64_t> offsets;  // of .index, not yet written
  uint64_t flushed_words = 0;
  uint64_t started_words = 0;   // the disk was asked to begin with these
  uint64_t sequence_start = 0;  // word position of the open sequence's length
  int64_t open_length = -1;     // -1: no sequence is open

  /// A second descriptor of the .bin in the making: the disk is asked to write while encoding goes
  /// on, so that the sync at the end is short.
  struct Writeback {
    int descriptor;
    explicit Writeback(const std::filesystem::path& path)
        : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    ~Writeback() {
      if (descriptor >= 0) {
        ::close(descriptor);
      }
    }
  } writeback;

  State(std::filesystem::path path)
      : prefix(std::move(path)),
        bin(std::make_unique<AtomicFile>(token_bin_path(prefix))),
        index(std::make_unique<AtomicFile>(token_index_path(prefix))),
        mask(prefix),
        writeback(bin->file().path()) {
    words.reserve(kBufferWords);
  }

  uint64_t word_count() const { return flushed_words + words.size(); }

  void flush_words() { flush_first(words.size()); }

  /// Room in the buffer. The open sequence stays in it, where its length is still to be set, unless
  /// the sequence fills the buffer alone.
  void make_room() {
    flush_first(sequence_start > flushed_words ? sequence_start - flushed_words : words.size());
  }

  void flush_first(size_t count) {
    const auto bytes = std::as_bytes(std::span(words).first(count));
    bin->write(bytes);
    sums.add(bytes);
    flushed_words += count;
    words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count));
    if (flushed_words - started_words >= kWritebackWords) {
      ::sync_file_range(writeback.descriptor, 0, 0,
                        SYNC_FILE_RANGE_WRITE);  // a hint: failure changes nothing
      started_words = flushed_words;
    }
  }

  void flush_offsets() {
    index->write(bytes_of(offsets));
    offsets.clear();
  }

  void open_sequence() {
    sequence_start = word_count();
    words.push_back(0);
    offsets.push_back(sequence_start * 4);
    header.sequences += 1;
    open_length = 0;
  }

  void close_sequence() {
    auto length = static_cast<int32_t>(open_length);
    if (sequence_start >= flushed_words) {
      words[sequence_start - flushed_words] = length;
    } else {
      bin->write_at(sequence_start * 4, std::as_bytes(std::span(&length, 1)));
      sums.rewritten(sequence_start * 4);
    }
    open_length = -1;
    if (words.size() >= kBufferWords) {
      flush_words();
    }
    if (offsets.size() >= kBufferWords) {
      flush_offsets();
    }
  }
};

TokenFileWriter::TokenFileWriter(const std::filesystem::path& path, std::string tokenizer_sha256) {
  check(tokenizer_sha256.size() == 64 &&
            tokenizer_sha256.find_first_not_of("0123456789abcdef") == std::string::npos,
        "token file: the tokenizer's sha256 must be 64 lower-case hex digits");
  std::filesystem::path prefix = token_file_prefix(path);
  if (prefix.has_parent_path()) {
    make_directories(prefix.parent_path());
  }
  state_ = std::make_unique<State>(prefix);
  TokenIndexHeader& header = state_->header;
  std::memcpy(header.magic, kTokenIndexMagic, sizeof header.magic);
  header.version = kTokenFileVersion;
  header.dtype = kTokenFileInt32;
  hex_to_bytes(tokenizer_sha256, header.tokenizer_sha256);
  state_->index->write(std::as_bytes(std::span(&header, 1)));  // counts follow in stage()
}

TokenFileWriter::~TokenFileWriter() = default;

int64_t TokenFileWriter::sequences() const {
  return static_cast<int64_t>(state_->header.sequences);
}
int64_t TokenFileWriter::tokens() const { return static_cast<int64_t>(state_->header.tokens); }

int64_t TokenFileWriter::tokens_to_learn() const {
  return static_cast<int64_t>(state_->mask.tokens_to_learn());
}

void TokenFileWriter::append(std::span<const int32_t> ids, std::span<const uint8_t> learnt) {
  add(ids, learnt);
  end_sequence();
}

void TokenFileWriter::add(std::span<const int32_t> ids, std::span<const uint8_t> learnt) {
  check(learnt.empty() || learnt.size() == ids.size(), "token file: {} marks for {} ids",
        learnt.size(), ids.size());
  State& state = *state_;
  state.mask.add(ids.size(), learnt);
  if (state.open_length < 0) {
    state.open_sequence();
  }
  while (!ids.empty()) {
    if (state.open_length ==
        kMaxSequence) {  // the length word is full: the document goes on in another sequence
      state.close_sequence();
      state.open_sequence();
    }
    size_t room =
        std::min<size_t>(kBufferWords, static_cast<size_t>(kMaxSequence - state.open_length));
    size_t count = std::min(ids.size(), room);
    state.words.insert(state.words.end(), ids.begin(),
                       ids.begin() + static_cast<std::ptrdiff_t>(count));
    state.open_length += static_cast<int64_t>(count);
    state.header.tokens += count;
    ids = ids.subspan(count);
    if (state.words.size() >= kBufferWords) {
      state.make_room();
    }
  }
}

void TokenFileWriter::end_sequence() {
  if (state_->open_length < 0) {
    state_->open_sequence();
  }
  state_->close_sequence();
}

void TokenFileWriter::finish() {
  DatasetCommit commit;
  stage(commit);
  commit.commit();
}

std::string TokenFileWriter::stage(DatasetCommit& commit) {
  State& state = *state_;
  const std::filesystem::path& prefix = state.prefix;
  check_input(tokens() == 0 || tokens_to_learn() > 0, "'{}': none of the {} tokens is to be learnt",
              prefix.string(), tokens());
  if (state.open_length >= 0) {
    state.close_sequence();
  }
  state.flush_words();
  state.offsets.push_back(state.word_count() * 4);
  state.flush_offsets();
  state.index->write_at(0, std::as_bytes(std::span(&state.header, 1)));
  const std::string index_sha256 = sha256_file(state.index->file().path());
  commit.replace(prefix);
  commit.add(block_checksums_path(prefix), state.sums.finish(state.bin->file().path()));
  state.mask.stage(commit, index_sha256);
  commit.add(token_bin_path(prefix), std::move(state.bin));
  commit.add(token_index_path(prefix), std::move(state.index));
  return index_sha256;
}

}  // namespace llm
