#include "base/sealed_file.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <fstream>
#include <string_view>

#include "base/error.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "\x89LLMSEAL";
constexpr std::string_view kPurpose = "llm sealed file";
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMostSegmentBytes = 1 << 26;
constexpr size_t kSaltAt = 16, kCommitmentAt = 32, kHeaderBytes = 64;
constexpr size_t kSaltBytes = 16, kTagBytes = 16, kNonceBytes = 12;

using Header = std::array<unsigned char, kHeaderBytes>;

/// For what only a broken OpenSSL or an exhausted machine refuses.
void require(bool done, const char* what) {
  if (!done) fail(Exit::internal, fmt::format("OpenSSL: {} failed", what));
}

void put_u32(unsigned char* place, uint32_t value) {
  static_assert(std::endian::native == std::endian::little, "the file is little endian");
  std::memcpy(place, &value, sizeof value);
}

uint32_t u32_at(const unsigned char* place) {
  uint32_t value = 0;
  std::memcpy(&value, place, sizeof value);
  return value;
}

/// What HKDF makes of the user's key for one file; wiped when it goes.
struct FileKeys {
  std::array<unsigned char, 64> bytes;
  const unsigned char* key() const { return bytes.data(); }
  const unsigned char* commitment() const { return bytes.data() + 32; }

  FileKeys(const EncryptionKey& key, const Header& header) {
    std::array<unsigned char, kPurpose.size() + kSaltAt> info;
    std::copy(kPurpose.begin(), kPurpose.end(), info.begin());
    std::copy_n(header.begin(), kSaltAt, info.begin() + kPurpose.size());
    const std::unique_ptr<EVP_PKEY_CTX, void (*)(EVP_PKEY_CTX*)> hkdf(
        EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr), EVP_PKEY_CTX_free);
    const auto* secret = reinterpret_cast<const unsigned char*>(key.bytes().data());
    size_t size = bytes.size();
    require(hkdf && EVP_PKEY_derive_init(hkdf.get()) == 1 &&
                EVP_PKEY_CTX_set_hkdf_md(hkdf.get(), EVP_sha256()) == 1 &&
                EVP_PKEY_CTX_set1_hkdf_salt(hkdf.get(), header.data() + kSaltAt, kSaltBytes) == 1 &&
                EVP_PKEY_CTX_set1_hkdf_key(hkdf.get(), secret, EncryptionKey::kBytes) == 1 &&
                EVP_PKEY_CTX_add1_hkdf_info(hkdf.get(), info.data(), info.size()) == 1 &&
                EVP_PKEY_derive(hkdf.get(), bytes.data(), &size) == 1,
            "HKDF-SHA256");
  }
  ~FileKeys() { OPENSSL_cleanse(bytes.data(), bytes.size()); }
  FileKeys(const FileKeys&) = delete;
  FileKeys& operator=(const FileKeys&) = delete;
};

/// How many segments the body behind the header has; 0 where no file has such a body.
uint64_t segments_of(uint64_t body_bytes, uint32_t segment_bytes) {
  const uint64_t whole = segment_bytes + kTagBytes;
  const uint64_t rest = body_bytes % whole;
  if (body_bytes == kTagBytes) return 1;
  return rest != 0 && rest <= kTagBytes ? 0 : body_bytes / whole + (rest != 0 ? 1 : 0);
}

}  // namespace

/// Seals or opens the segments of one file, in their order.
class SegmentCipher {
 public:
  SegmentCipher(const FileKeys& keys, bool seals) : seals_(seals) {
    require(context_ && EVP_CipherInit_ex(context_.get(), EVP_aes_256_gcm(), nullptr, keys.key(),
                                          nullptr, seals ? 1 : 0) == 1,
            "AES-256-GCM");
  }

  /// `to` takes the plain bytes' number and a tag.
  void seal(std::span<const std::byte> plain, bool last, std::byte* to) {
    begin_segment(last);
    transform(plain, to);
    int none = 0;
    unsigned char* tag = bytes_of(to) + plain.size();
    require(EVP_CipherFinal_ex(context_.get(), tag, &none) == 1 &&
                EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag) == 1,
            "sealing a segment");
  }

  /// False where this segment is not what was sealed here. `to` takes all but the tag.
  bool open(std::span<const std::byte> sealed, bool last, std::byte* to) {
    begin_segment(last);
    const size_t size = sealed.size() - kTagBytes;
    transform(sealed.first(size), to);
    std::array<unsigned char, kTagBytes> tag;
    std::memcpy(tag.data(), sealed.data() + size, kTagBytes);
    require(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1,
            "opening a segment");
    int none = 0;
    unsigned char end;
    return EVP_CipherFinal_ex(context_.get(), &end, &none) == 1;
  }

 private:
  static unsigned char* bytes_of(std::byte* place) {
    return reinterpret_cast<unsigned char*>(place);
  }

  void begin_segment(bool last) {
    std::array<unsigned char, kNonceBytes> nonce{};
    for (size_t i = 0; i < sizeof segment_; ++i) {
      nonce[kNonceBytes - 2 - i] = static_cast<unsigned char>(segment_ >> (8 * i));
    }
    nonce.back() = last ? 1 : 0;
    ++segment_;
    require(EVP_CipherInit_ex(context_.get(), nullptr, nullptr, nullptr, nonce.data(),
                              seals_ ? 1 : 0) == 1,
            "beginning a segment");
  }

  void transform(std::span<const std::byte> from, std::byte* to) {
    if (from.empty()) return;  // OpenSSL would take a null output for more data to authenticate
    int done = 0;
    require(EVP_CipherUpdate(context_.get(), bytes_of(to), &done,
                             reinterpret_cast<const unsigned char*>(from.data()),
                             static_cast<int>(from.size())) == 1,
            "AES-256-GCM");
  }

  std::unique_ptr<EVP_CIPHER_CTX, void (*)(EVP_CIPHER_CTX*)> context_{EVP_CIPHER_CTX_new(),
                                                                      EVP_CIPHER_CTX_free};
  bool seals_;
  uint64_t segment_ = 0;
};

bool is_sealed(std::span<const std::byte> file) {
  return file.size() >= kMagic.size() &&
         std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0;
}

bool is_sealed(const fs::path& file) {
  std::array<char, kMagic.size()> start{};
  std::ifstream(file, std::ios::binary).read(start.data(), start.size());
  return is_sealed(std::as_bytes(std::span(start)));
}

uint64_t sealed_bytes(uint64_t plain_bytes, uint32_t segment_bytes) {
  const uint64_t segments = (plain_bytes + segment_bytes - 1) / segment_bytes;
  return kHeaderBytes + plain_bytes + std::max<uint64_t>(1, segments) * kTagBytes;
}

SealedWriter::SealedWriter(OutputFile& file, const EncryptionKey& key, uint32_t segment_bytes)
    : file_(file), plain_(segment_bytes), sealed_(segment_bytes + kTagBytes) {
  Header header;
  std::copy(kMagic.begin(), kMagic.end(), header.begin());
  put_u32(&header[8], kVersion);
  put_u32(&header[12], segment_bytes);
  require(RAND_bytes(&header[kSaltAt], kSaltBytes) == 1, "the source of random bytes");
  const FileKeys keys(key, header);
  std::copy_n(keys.commitment(), kHeaderBytes - kCommitmentAt, &header[kCommitmentAt]);
  cipher_ = std::make_unique<SegmentCipher>(keys, /*seals=*/true);
  file_.write(std::as_bytes(std::span(header)));
}

SealedWriter::~SealedWriter() { OPENSSL_cleanse(plain_.data(), plain_.size()); }

void SealedWriter::seal_segment(bool last) {
  cipher_->seal({plain_.data(), filled_}, last, sealed_.data());
  file_.write(std::span<const std::byte>(sealed_.data(), filled_ + kTagBytes));
  filled_ = 0;
}

void SealedWriter::write(std::span<const std::byte> plain) {
  while (!plain.empty()) {
    // A full segment waits for the byte behind it: it may be the last.
    if (filled_ == plain_.size()) seal_segment(/*last=*/false);
    const size_t taken = std::min(plain.size(), plain_.size() - filled_);
    std::memcpy(plain_.data() + filled_, plain.data(), taken);
    filled_ += taken;
    plain = plain.subspan(taken);
  }
}

void SealedWriter::finish() { seal_segment(/*last=*/true); }

MappedFile open_file(const fs::path& path, const EncryptionKey& key, AccessPattern pattern) {
  MappedFile file = MappedFile::open(path, pattern);
  if (!is_sealed(file.bytes())) return file;
  const std::string name = path.string();
  check_input(static_cast<bool>(key), "'{}' is encrypted: give --encryption-key-file", name);
  check_input(file.size() >= kHeaderBytes, "'{}' is damaged: {} bytes are no whole header", name,
              file.size());
  Header header;
  std::memcpy(header.data(), file.data(), header.size());
  check_input(u32_at(&header[8]) == kVersion,
              "'{}': version {} of encrypted files is not known (this program reads {})", name,
              u32_at(&header[8]), kVersion);
  const FileKeys keys(key, header);
  check_input(CRYPTO_memcmp(keys.commitment(), &header[kCommitmentAt],
                            kHeaderBytes - kCommitmentAt) == 0,
              "'{}' cannot be opened with this key (wrong key, or the file was changed)", name);
  const uint32_t segment_bytes = u32_at(&header[12]);
  check_input(segment_bytes > 0 && segment_bytes <= kMostSegmentBytes,
              "'{}': segments of {} bytes are not allowed", name, segment_bytes);
  const std::span<const std::byte> body = file.bytes().subspan(kHeaderBytes);
  const uint64_t segments = segments_of(body.size(), segment_bytes);
  check_input(segments > 0, "'{}' is damaged: no encrypted file has {} bytes", name, file.size());

  const auto open_segments = [&](std::span<std::byte> plain) {
    SegmentCipher cipher(keys, /*seals=*/false);
    for (uint64_t i = 0; i < segments; ++i) {
      const uint64_t begin = i * (segment_bytes + kTagBytes);
      const uint64_t size = std::min<uint64_t>(body.size() - begin, segment_bytes + kTagBytes);
      check_input(cipher.open(body.subspan(begin, size), /*last=*/i + 1 == segments,
                              plain.data() + i * segment_bytes),
                  "'{}' is damaged: segment {} of {} was changed, or the file's length was", name,
                  i + 1, segments);
    }
  };
  return MappedFile::in_memory(path, body.size() - segments * kTagBytes, open_segments);
}

}  // namespace llm
