#include "data/loss_mask.h"

#include <bit>
#include <cstring>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/hex.h"
#include "base/mapped_file.h"
#include "base/sha256.h"
#include "data/dataset_commit.h"

namespace llm {
namespace {

constexpr char kMaskMagic[8] = {'L', 'L', 'M', 'M', 'A', 'S', 'K', '1'};
constexpr size_t kMaskBufferBytes = size_t{1} << 20;

struct MaskHeader {
  char magic[8];
  uint32_t version;
  uint32_t reserved;
  uint64_t tokens;
  uint64_t to_learn;
  unsigned char index_sha256[32];
};
static_assert(sizeof(MaskHeader) == 64);

uint64_t mask_bytes(uint64_t tokens) { return tokens / 8 + (tokens % 8 == 0 ? 0 : 1); }

}  // namespace

std::filesystem::path loss_mask_path(const std::filesystem::path& prefix) {
  return prefix.string() + ".mask";
}

std::unique_ptr<const LossMask> LossMask::open(const std::filesystem::path& prefix, int64_t tokens,
                                               std::span<const std::byte> index) {
  const std::filesystem::path path = loss_mask_path(prefix);
  if (!std::filesystem::exists(path)) {
    return nullptr;
  }
  std::unique_ptr<LossMask> mask(new LossMask);
  mask->tokens_ = tokens;
  mask->file_ =
      std::make_unique<MappedFile>(MappedFile::open(path, AccessPattern::normal, Exit::bad_input));
  mask->check_header(sha256_hex(index));
  mask->check_bits();
  return mask;
}

LossMask::~LossMask() = default;

void LossMask::check_header(const std::string& index_sha256) {
  const std::string name = file_->path().string();
  const std::string_view bytes = file_->text();
  check_input(bytes.size() >= sizeof(MaskHeader),
              "'{}': truncated: {} bytes, the header alone has {}", name, bytes.size(),
              sizeof(MaskHeader));
  MaskHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  check_input(std::memcmp(header.magic, kMaskMagic, sizeof kMaskMagic) == 0,
              "'{}' is not the loss mask of a dataset", name);
  check_input(header.version <= kLossMaskVersion,
              "'{}': format version {} is newer than this program (knows {})", name, header.version,
              kLossMaskVersion);
  check_input(header.version >= 1, "'{}': format version 0 unknown", name);
  MaskHeader expected = header;
  hex_to_bytes(index_sha256, expected.index_sha256);
  if (header.tokens != static_cast<uint64_t>(tokens_) ||
      std::memcmp(&header, &expected, sizeof header) != 0) {
    fail(Exit::bad_input, fmt::format("'{}' belongs to another dataset", name),
         "prepare the data again, or remove the mask: everything is learnt then");
  }
  const uint64_t wanted = sizeof header + mask_bytes(header.tokens);
  check_input(bytes.size() >= wanted, "'{}': truncated: {} tokens take {} bytes, file holds {}",
              name, header.tokens, wanted, bytes.size());
  check_input(bytes.size() == wanted, "'{}': {} unexpected bytes after the mask", name,
              bytes.size() - wanted);
  check_input(header.to_learn <= header.tokens, "'{}': {} of {} tokens to learn", name,
              header.to_learn, header.tokens);
  check_input(header.to_learn > 0, "'{}': no token is to be learnt", name);
  bits_ = reinterpret_cast<const uint8_t*>(bytes.data() + sizeof header);
  to_learn_ = static_cast<int64_t>(header.to_learn);
}

void LossMask::read(int64_t position, std::span<uint8_t> out) const {
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = learns(position + static_cast<int64_t>(i)) ? 1 : 0;
  }
}

int64_t LossMask::count(int64_t begin, int64_t end) const {
  int64_t found = 0;
  for (; begin < end && begin % 8 != 0; ++begin) {
    found += learns(begin) ? 1 : 0;
  }
  for (; begin + 8 <= end; begin += 8) {
    found += std::popcount(bits_[begin / 8]);
  }
  for (; begin < end; ++begin) {
    found += learns(begin) ? 1 : 0;
  }
  return found;
}

void LossMask::check_bits() const {
  const int64_t found = count(0, tokens_);
  const std::string name = file_->path().string();
  check_input(found == to_learn_, "'{}': header says {} tokens to learn, the mask has {}", name,
              to_learn_, found);
  const uint8_t last = bits_[mask_bytes(static_cast<uint64_t>(tokens_)) - 1];
  check_input(tokens_ % 8 == 0 || last >> (tokens_ % 8) == 0,
              "'{}': bits are set after the last token", name);
}

std::string LossMask::sha256() const { return sha256_hex(file_->bytes()); }

LossMaskWriter::LossMaskWriter(std::filesystem::path prefix) : path_(loss_mask_path(prefix)) {}
LossMaskWriter::~LossMaskWriter() = default;

/// All tokens so far were to be learnt.
void LossMaskWriter::begin() {
  file_ = std::make_unique<AtomicFile>(path_);
  const MaskHeader nothing{};
  file_->write(std::as_bytes(std::span(&nothing, 1)));
  for (uint64_t left = tokens_ / 8; left > 0; left -= bytes_.size()) {
    bytes_.assign(std::min<uint64_t>(left, kMaskBufferBytes), 0xFF);
    file_->write(std::as_bytes(std::span(bytes_)));
  }
  bytes_.clear();
  if (tokens_ % 8 != 0) {
    bytes_.push_back(static_cast<uint8_t>((1U << (tokens_ % 8)) - 1));
  }
}

void LossMaskWriter::put(bool learnt) {
  if (tokens_ % 8 == 0) {
    if (bytes_.size() >= kMaskBufferBytes) {
      flush();
    }
    bytes_.push_back(0);
  }
  bytes_.back() = static_cast<uint8_t>(bytes_.back() | (learnt ? 1U << (tokens_ % 8) : 0U));
  tokens_ += 1;
  to_learn_ += learnt ? 1 : 0;
}

void LossMaskWriter::flush() {
  file_->write(std::as_bytes(std::span(bytes_)));
  bytes_.clear();
}

void LossMaskWriter::add(size_t count, std::span<const uint8_t> learnt) {
  size_t at = 0;
  if (!file_) {
    while (at < count && (learnt.empty() || learnt[at] != 0)) {
      ++at;
    }
    tokens_ += at;
    to_learn_ += at;
    if (at < count) {
      begin();
    }
  }
  for (; at < count; ++at) {
    put(learnt.empty() || learnt[at] != 0);
  }
}

void LossMaskWriter::stage(DatasetCommit& commit, const std::string& index_sha256) {
  if (!file_) {
    return;
  }
  flush();
  MaskHeader header{};
  std::memcpy(header.magic, kMaskMagic, sizeof kMaskMagic);
  header.version = kLossMaskVersion;
  header.tokens = tokens_;
  header.to_learn = to_learn_;
  hex_to_bytes(index_sha256, header.index_sha256);
  file_->write_at(0, std::as_bytes(std::span(&header, 1)));
  commit.add(path_, std::move(file_));
}

}  // namespace llm
