// The hash by which the hub knows a file: SHA-256 of large files, git's blob id (SHA-1) of small
// ones. Which of the two an entity tag is shows in its length. Not thread-safe; movable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace llm {

class BlobHash {
 public:
  /// `tag` decides the kind: 64 hex digits SHA-256, 40 git. `size` is the whole file's.
  BlobHash(std::string_view tag, uint64_t size);
  ~BlobHash();
  BlobHash(BlobHash&&) noexcept;
  BlobHash& operator=(BlobHash&&) noexcept;

  /// False for a tag that is no hash: nothing can be checked then.
  bool is_known() const { return context_ != nullptr; }
  const char* name() const;  // "sha256", "git blob id"
  void update(std::string_view bytes);
  std::string finish();  // lower-case hex

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace llm
