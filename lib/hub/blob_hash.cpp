#include "hub/blob_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "base/error.h"

namespace llm {

struct BlobHash::Context {
  EVP_MD_CTX* md = ::EVP_MD_CTX_new();
  bool git = false;
  ~Context() { ::EVP_MD_CTX_free(md); }
};

BlobHash::BlobHash(std::string_view tag, uint64_t size) {
  const bool hex = std::all_of(tag.begin(), tag.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (!hex || (tag.size() != 64 && tag.size() != 40)) return;
  context_ = std::make_unique<Context>();
  context_->git = tag.size() == 40;
  if (::EVP_DigestInit_ex(context_->md, context_->git ? ::EVP_sha1() : ::EVP_sha256(), nullptr) !=
      1) {
    fail(Exit::internal, "a hash could not be started");
  }
  if (context_->git) update(fmt::format("blob {}", size) + std::string(1, '\0'));
}

BlobHash::~BlobHash() = default;
BlobHash::BlobHash(BlobHash&&) noexcept = default;
BlobHash& BlobHash::operator=(BlobHash&&) noexcept = default;

const char* BlobHash::name() const { return context_->git ? "git blob id" : "sha256"; }

void BlobHash::update(std::string_view bytes) {
  if (context_) ::EVP_DigestUpdate(context_->md, bytes.data(), bytes.size());
}

std::string BlobHash::finish() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length = 0;
  ::EVP_DigestFinal_ex(context_->md, digest, &length);
  std::string text;
  for (unsigned i = 0; i < length; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

}  // namespace llm
