#include "data/token_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <string_view>
#include <tuple>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "data/block_checksums.h"
#include "data/loss_mask.h"
#include "data/token_index_header.h"

namespace llm {
namespace {

static_assert(std::endian::native == std::endian::little,
              "dataset files are little endian and mapped as they are");

constexpr int64_t kMaxLandmarks = int64_t{1} << 20;
constexpr const char* kPrepareHint =
    "llm prepare-data --input FILE --tokenizer-path TOKENIZER --output PREFIX makes one";

std::string first_bytes(std::string_view bytes) {
  std::string text;
  for (unsigned char c : bytes.substr(0, 4)) {
    text += fmt::format("{}{:02x}", text.empty() ? "" : " ", c);
  }
  return text;
}

const char* likeness(std::string_view bytes) {
  if (bytes.starts_with("{") || bytes.starts_with("[")) {
    return ", looks like JSON";
  }
  if (bytes.starts_with("MMIDIDX")) {
    return ", a Megatron index";
  }
  if (bytes.starts_with("\x28\xb5\x2f\xfd")) {
    return ", zstd data";
  }
  bool printable =
      !bytes.empty() &&
      std::all_of(bytes.begin(), bytes.begin() + std::min<size_t>(bytes.size(), 64),
                  [](unsigned char c) { return c >= 0x20 || c == '\n' || c == '\r' || c == '\t'; });
  return printable ? ", looks like text" : "";
}

/// Widens ids to int64 and returns a word whose sign bit says whether one of them is negative or
/// above `largest`. No branches: it vectorises to SSE2.
int32_t widen(const int32_t* __restrict ids, size_t count, int32_t largest,
              int64_t* __restrict out) {
  int32_t outside = 0;
  for (size_t i = 0; i < count; ++i) {
    int32_t id = ids[i];
    outside |=
        id | static_cast<int32_t>(static_cast<uint32_t>(largest) - static_cast<uint32_t>(id));
    out[i] = static_cast<int64_t>(static_cast<uint32_t>(id));
  }
  return outside;
}

[[noreturn]] void report_id(const std::filesystem::path& bin, int64_t id, int64_t position,
                            int64_t vocab_size) {
  check_input(id >= 0, "'{}': token {} at index {} is negative", bin.string(), id, position);
  fail(Exit::bad_input,
       fmt::format("'{}': token {} at index {} is \u2265 vocab_size {}", bin.string(), id, position,
                   vocab_size),
       "the dataset belongs to another tokenizer or is damaged: llm prepare-data --verify PREFIX");
}

int32_t largest_allowed(std::optional<int64_t> vocab_size) {
  constexpr int64_t kLimit = std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(std::clamp<int64_t>(vocab_size.value_or(kLimit) - 1, 0, kLimit));
}

}  // namespace

std::filesystem::path token_file_prefix(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::filesystem::path prefix = path;
  return extension == ".bin" || extension == ".index" ? prefix.replace_extension() : prefix;
}

std::filesystem::path token_bin_path(const std::filesystem::path& prefix) {
  return prefix.string() + ".bin";
}
std::filesystem::path token_index_path(const std::filesystem::path& prefix) {
  return prefix.string() + ".index";
}

bool is_token_file(const std::filesystem::path& path) {
  std::filesystem::path prefix = token_file_prefix(path);
  return std::filesystem::exists(token_index_path(prefix)) ||
         std::filesystem::exists(token_bin_path(prefix));
}

TokenFile::TokenFile() = default;
TokenFile::TokenFile(TokenFile&&) noexcept = default;
TokenFile& TokenFile::operator=(TokenFile&&) noexcept = default;
TokenFile::~TokenFile() = default;

TokenFile TokenFile::open(const std::filesystem::path& path, const TokenFileChecks& checks) {
  TokenFile file;
  file.prefix_ = token_file_prefix(path);
  std::filesystem::path index = token_index_path(file.prefix_);
  std::filesystem::path bin = token_bin_path(file.prefix_);
  bool has_index = std::filesystem::exists(index);
  bool has_bin = std::filesystem::exists(bin);
  if (has_index != has_bin) {
    const auto& [missing, other] = has_bin ? std::tie(index, bin) : std::tie(bin, index);
    fail(Exit::bad_input,
         fmt::format("'{}' is missing beside '{}'", missing.string(), other.filename().string()),
         kPrepareHint);
  }
  file.index_ =
      std::make_unique<MappedFile>(MappedFile::open(index, AccessPattern::normal, Exit::bad_input));
  file.check_header();
  file.bin_ =
      std::make_unique<MappedFile>(MappedFile::open(bin, AccessPattern::normal, Exit::bad_input));
  file.words_ = reinterpret_cast<const int32_t*>(file.bin_->data());
  file.check_sizes();
  file.check_offsets();
  file.check_tokenizer(checks.tokenizer_sha256);
  file.vocab_size_ = checks.vocab_size;
  file.mask_ = LossMask::open(file.prefix_, file.tokens_, file.index_->bytes());
  file.build_landmarks();
  return file;
}

void TokenFile::check_header() {
  const std::string name = index_->path().string();
  std::string_view bytes = index_->text();
  check_input(!bytes.empty(), "'{}' is empty", name);
  if (!bytes.starts_with(
          std::string_view(kTokenIndexMagic, std::min(sizeof kTokenIndexMagic, bytes.size())))) {
    fail(Exit::bad_input,
         fmt::format("'{}' is not an llm token file (starts {}{})", name, first_bytes(bytes),
                     likeness(bytes)),
         kPrepareHint);
  }
  check_input(bytes.size() >= sizeof(TokenIndexHeader),
              "'{}': truncated: {} bytes, the header alone has {}", name, bytes.size(),
              sizeof(TokenIndexHeader));
  TokenIndexHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  check_input(header.version <= kTokenFileVersion,
              "'{}': format version {} is newer than this program (knows {})", name, header.version,
              kTokenFileVersion);
  check_input(header.version >= 1, "'{}': format version 0 unknown", name);
  check_input(header.dtype == kTokenFileInt32, "'{}': dtype code {} unknown", name, header.dtype);
  uint64_t held = (bytes.size() - sizeof header) / 8;
  check_input(header.sequences < held,
              "'{}': truncated: header says {} documents, file holds the offsets of {}", name,
              header.sequences, held == 0 ? 0 : held - 1);
  uint64_t expected_bytes = sizeof header + 8 * (header.sequences + 1);
  check_input(bytes.size() == expected_bytes, "'{}': {} unexpected bytes after the offsets", name,
              bytes.size() - expected_bytes);
  check_input(header.tokens > 0, "'{}': dataset has 0 tokens", name);
  sequences_ = static_cast<int64_t>(header.sequences);
  // A count that cannot be right is caught by check_sizes, which compares it with the size of .bin.
  tokens_ =
      static_cast<int64_t>(std::min<uint64_t>(header.tokens, std::numeric_limits<int64_t>::max()));
  offsets_ = reinterpret_cast<const uint64_t*>(bytes.data() + sizeof header);
}

void TokenFile::check_sizes() {
  const std::string name = bin_->path().string();
  check_input(bin_->size() % 4 == 0, "'{}': size {} is not a multiple of 4-byte tokens", name,
              bin_->size());
  auto words = static_cast<int64_t>(bin_->size() / 4);
  int64_t held = std::max<int64_t>(words - sequences_, 0);
  check_input(tokens_ <= held, "'{}': truncated: header says {} tokens, file holds {}", name,
              tokens_, held);
  check_input(tokens_ == held, "'{}': {} unexpected bytes after the tokens", name,
              4 * (held - tokens_));
}

void TokenFile::check_offsets() const {
  uint64_t size = bin_->size();
  // One pass without branches over what is nearly always right; the second pass words the
  // complaint.
  uint64_t wrong = offsets_[0] | (offsets_[sequences_] ^ size);
  for (int64_t i = 0; i < sequences_; ++i) {
    uint64_t step = offsets_[i + 1] - offsets_[i];
    wrong |= static_cast<uint64_t>(offsets_[i + 1] > size) |
             static_cast<uint64_t>(step - 4 > size) | (step & 3);  // a step below 4 wraps around
  }
  if (wrong == 0) {
    return;
  }
  const std::string name = index_->path().string();
  check_input(offsets_[0] == 0, "'{}': document 0 points to byte {}, must be 0", name, offsets_[0]);
  for (int64_t i = 0; i < sequences_; ++i) {
    uint64_t next = offsets_[i + 1];
    if (i + 1 < sequences_) {
      check_input(next <= size, "'{}': document {} points to byte {}, file has {}", name, i + 1,
                  next, size);
      check_input(next % 4 == 0, "'{}': document {} points to byte {}, not to a 4-byte word", name,
                  i + 1, next);
    }
    auto length = static_cast<int64_t>(next - offsets_[i]) / 4 - 1;
    check_input(length >= 0 || next > size, "'{}': document {} has length {}", name, i, length);
  }
  fail(Exit::bad_input,
       fmt::format("'{}': the last offset is {}, file has {}", name, offsets_[sequences_], size));
}

void TokenFile::check_tokenizer(const std::string& sha256) const {
  if (!sha256.empty() && sha256 != tokenizer_sha256()) {
    fail(Exit::bad_input,
         fmt::format("'{}' was made with another tokenizer (sha256 {}..., this one is {}...)",
                     index_->path().string(), tokenizer_sha256().substr(0, 12),
                     sha256.substr(0, 12)),
         "prepare the data again with this tokenizer, or give the tokenizer that made it");
  }
}

void TokenFile::build_landmarks() {
  int64_t wanted = std::clamp<int64_t>(sequences_ / 4, 1, kMaxLandmarks);
  while ((tokens_ >> landmark_shift_) >= wanted) {
    landmark_shift_ += 1;
  }
  int64_t count = ((tokens_ - 1) >> landmark_shift_) + 1;
  landmarks_.reserve(static_cast<size_t>(count) + 1);
  int64_t sequence = 0;
  for (int64_t k = 0; k < count; ++k) {
    while (sequence + 1 < sequences_ && first_token(sequence + 1) <= k << landmark_shift_) {
      ++sequence;
    }
    landmarks_.push_back(sequence);
  }
  landmarks_.push_back(sequences_ - 1);
}

std::string TokenFile::tokenizer_sha256() const {
  std::string hex;
  for (unsigned char c : index_->text().substr(kTokenizerHashOffset, 32)) {
    hex += fmt::format("{:02x}", c);
  }
  return hex;
}

bool TokenFile::verify_checksums() const { return verify_block_checksums(prefix_, bin_->bytes()); }

std::string TokenFile::index_sha256() const { return sha256_hex(index_->bytes()); }

std::span<const int32_t> TokenFile::sequence(int64_t index) const {
  check(index >= 0 && index < sequences_, "token file: document {} of {}", index, sequences_);
  const int32_t* ids = words_ + offsets_[index] / 4 + 1;
  return {ids, static_cast<size_t>(first_token(index + 1) - first_token(index))};
}

int64_t TokenFile::sequence_of(int64_t position) const {
  auto bucket = static_cast<size_t>(position >> landmark_shift_);
  return last_starting_by(position, landmarks_[bucket], landmarks_[bucket + 1] + 1);
}

/// The last sequence in [low, high) that starts at or before `position`; low does.
int64_t TokenFile::last_starting_by(int64_t position, int64_t low, int64_t high) const {
  while (high - low > 1) {
    int64_t middle = low + (high - low) / 2;
    (first_token(middle) <= position ? low : high) = middle;
  }
  return low;
}

void TokenFile::expect_search(int64_t position) const {
  __builtin_prefetch(&landmarks_[static_cast<size_t>(position >> landmark_shift_)]);
}

void TokenFile::expect_tokens(int64_t position, int64_t count) const {
  constexpr int64_t kLine = 16;           // words per cache line
  constexpr int64_t kAhead = 32 * kLine;  // from there on the processor sees the stream itself
  const int64_t sequence = landmarks_[static_cast<size_t>(position >> landmark_shift_)];
  for (int64_t i = 0; i < 4; ++i) {  // the search, then the documents of the range
    __builtin_prefetch(offsets_ + std::min(sequence + i * kLine / 2, sequences_));
  }
  // A length word stands before every document: the place of the first token in .bin, give or take
  // the few documents between the landmark and the position.
  const int32_t* word = words_ + position + sequence + 1;
  for (int64_t i = 0; i < std::min(count, kAhead); i += kLine) {
    __builtin_prefetch(word + i);
  }
}

void TokenFile::read(int64_t position, std::span<int64_t> out) const {
  auto wanted = static_cast<int64_t>(out.size());
  check(position >= 0 && wanted <= tokens_ && position <= tokens_ - wanted,
        "token file: tokens {} to {} of {}", position, position + wanted, tokens_);
  int32_t largest = largest_allowed(vocab_size_);
  int64_t sequence = wanted > 0 ? sequence_of(position) : 0;
  int64_t skip = position - first_token(sequence);
  int32_t outside = 0;
  const int64_t first = sequence + (skip > 0 ? 1 : 0);  // its length word is at hand
  bool lengths_differ = false;
  for (int64_t done = 0; done < wanted; ++sequence, skip = 0) {
    const int64_t length = first_token(sequence + 1) - first_token(sequence);
    const int32_t* words = words_ + offsets_[sequence] / 4;
    lengths_differ |= skip == 0 && *words != length;
    const int64_t count = std::min(length - skip, wanted - done);
    outside |= widen(words + 1 + skip, static_cast<size_t>(count), largest, out.data() + done);
    done += count;
  }
  if (lengths_differ) [[unlikely]]
    check_lengths(first, sequence);
  if (outside < 0) [[unlikely]] {
    for (int64_t i = 0; i < wanted; ++i) {
      auto id = static_cast<int32_t>(out[static_cast<size_t>(i)]);
      if (id < 0 || id > largest) {
        report_id(bin_->path(), id, position + i, vocab_size_.value_or(0));
      }
    }
  }
}

void TokenFile::check_lengths(int64_t first, int64_t last) const {
  for (int64_t s = first; s < last; ++s) {
    const int64_t expected = first_token(s + 1) - first_token(s);
    const int32_t length = words_[offsets_[s] / 4];
    const std::string name = bin_->path().string();
    check_input(length >= 0, "'{}': document {} has length {}", name, s, length);
    check_input(length == expected, "'{}': document {} has length {}, the index says {}", name, s,
                length, expected);
  }
}

TokenFileReport verify_token_file(const std::filesystem::path& prefix,
                                  const TokenFileChecks& checks) {
  TokenFile file = TokenFile::open(prefix, checks);
  const std::filesystem::path bin = token_bin_path(file.prefix());
  TokenFileReport report;
  report.sequences = file.sequences();
  report.tokens = file.tokens();
  for (int64_t s = 0; s < file.sequences(); ++s) {
    std::span<const int32_t> ids = file.sequence(s);
    file.check_lengths(s, s + 1);
    int32_t largest = 0;
    int32_t signs = 0;
    for (int32_t id : ids) {
      largest = std::max(largest, id);
      signs |= id;
    }
    bool outside = signs < 0 || (checks.vocab_size && largest >= *checks.vocab_size);
    for (size_t i = 0; outside && i < ids.size(); ++i) {
      if (ids[i] < 0 || (checks.vocab_size && ids[i] >= *checks.vocab_size)) {
        report_id(bin, ids[i], file.first_token(s) + static_cast<int64_t>(i),
                  checks.vocab_size.value_or(0));
      }
    }
    report.largest_id = std::max(report.largest_id, largest);
    report.longest_sequence = std::max(report.longest_sequence, std::ssize(ids));
  }
  report.checksums = file.verify_checksums();
  return report;
}

}  // namespace llm
