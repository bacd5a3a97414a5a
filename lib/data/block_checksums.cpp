#include "data/block_checksums.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/error.h"
#include "base/hex.h"
#include "base/mapped_file.h"

namespace llm {
namespace {

constexpr char kSumsMagic[8] = {'L', 'L', 'M', 'S', 'U', 'M', 'S', '1'};
constexpr uint32_t kSumsVersion = 1;
constexpr uint32_t kBlockBytes = uint32_t{1} << 20;
constexpr size_t kSumBytes = 32;

struct SumsHeader {
  char magic[8];
  uint32_t version;
  uint32_t block_bytes;
  uint64_t size;
};
static_assert(sizeof(SumsHeader) == 24);

std::string bytes_of_hex(const std::string& hex) {
  std::string bytes(hex.size() / 2, '\0');
  hex_to_bytes(hex, {reinterpret_cast<unsigned char*>(bytes.data()), bytes.size()});
  return bytes;
}

std::span<const std::byte> block_of(std::span<const std::byte> bin, uint64_t block) {
  const uint64_t begin = block * kBlockBytes;
  return bin.subspan(begin, std::min<uint64_t>(kBlockBytes, bin.size() - begin));
}

}  // namespace

std::filesystem::path block_checksums_path(const std::filesystem::path& prefix) {
  return prefix.string() + ".sum";
}

bool verify_block_checksums(const std::filesystem::path& prefix, std::span<const std::byte> bin) {
  const std::filesystem::path path = block_checksums_path(prefix);
  if (!std::filesystem::exists(path)) {
    return false;
  }
  const MappedFile file = MappedFile::open(path, AccessPattern::sequential, Exit::bad_input);
  const std::string_view bytes = file.text();
  const std::string name = path.string();
  SumsHeader header{};
  check_input(bytes.size() >= sizeof header, "'{}': truncated: {} bytes, the header alone has {}",
              name, bytes.size(), sizeof header);
  std::memcpy(&header, bytes.data(), sizeof header);
  check_input(std::memcmp(header.magic, kSumsMagic, sizeof kSumsMagic) == 0,
              "'{}' does not hold the checksums of a dataset", name);
  check_input(header.version == kSumsVersion && header.block_bytes == kBlockBytes,
              "'{}': format version {} with blocks of {} bytes is not known to this program", name,
              header.version, header.block_bytes);
  check_input(header.size == bin.size(), "'{}' belongs to another dataset: {} bytes, not {}", name,
              header.size, bin.size());
  const uint64_t blocks = (bin.size() + kBlockBytes - 1) / kBlockBytes;
  check_input(bytes.size() == sizeof header + blocks * kSumBytes,
              "'{}': {} bytes, {} blocks take {}", name, bytes.size(), blocks,
              sizeof header + blocks * kSumBytes);
  for (uint64_t block = 0; block < blocks; ++block) {
    check_input(bytes_of_hex(sha256_hex(block_of(bin, block))) ==
                    bytes.substr(sizeof header + block * kSumBytes, kSumBytes),
                "'{}.bin': checksum mismatch in block {} (offset {})", prefix.string(), block,
                block * kBlockBytes);
  }
  return true;
}

void BlockChecksumWriter::add(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    const size_t count = std::min<size_t>(bytes.size(), kBlockBytes - in_block_);
    hash_.update(bytes.first(count));
    in_block_ += count;
    bytes = bytes.subspan(count);
    if (in_block_ == kBlockBytes) {
      end_block();
    }
  }
}

void BlockChecksumWriter::end_block() {
  sums_ += bytes_of_hex(hash_.finish());
  hash_ = Sha256();
  in_block_ = 0;
}

void BlockChecksumWriter::rewritten(uint64_t offset) { rewritten_.insert(offset / kBlockBytes); }

std::string BlockChecksumWriter::finish(const std::filesystem::path& bin) {
  if (in_block_ > 0) {
    end_block();
  }
  if (!rewritten_.empty()) {
    std::ifstream file(bin, std::ios::binary);
    std::string bytes(kBlockBytes, '\0');
    for (const uint64_t block : rewritten_) {
      bytes.resize(std::min<uint64_t>(kBlockBytes, size_ - block * kBlockBytes));
      file.seekg(static_cast<std::streamoff>(block * kBlockBytes));
      file.read(bytes.data(), std::ssize(bytes));
      if (!file.good()) {
        fail(Exit::io, fmt::format("cannot read '{}' again", bin.string()));
      }
      sums_.replace(block * kSumBytes, kSumBytes, bytes_of_hex(sha256_hex(bytes)));
    }
  }
  SumsHeader header{};
  std::memcpy(header.magic, kSumsMagic, sizeof kSumsMagic);
  header.version = kSumsVersion;
  header.block_bytes = kBlockBytes;
  header.size = size_;
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + sums_;
}

}  // namespace llm
