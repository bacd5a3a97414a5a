// Writes one part of a prepared dataset from the pieces of encoded documents. Files appear with the
// first piece, so that input that is refused at once leaves nothing behind.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "data/encode_chunk.h"
#include "data/prepare.h"
#include "data/token_file.h"

namespace llm {

class PartWriter {
 public:
  PartWriter(const std::filesystem::path& prefix, std::string tokenizer_sha256);

  /// A document is one piece or several that follow one another. `learnt` as in TokenFileWriter.
  void add(const EncodedChunk::Piece& piece, std::span<const int32_t> ids,
           std::span<const uint8_t> learnt);
  /// What was written so far.
  const PreparedSet& set() const { return set_; }
  /// Hands the files to `commit`; the SHA-256 of the index. After at least one piece.
  std::string stage(DatasetCommit& commit) { return writer_->stage(commit); }

 private:
  std::string tokenizer_sha256_;
  std::unique_ptr<TokenFileWriter> writer_;
  PreparedSet set_;
  bool open_ = false;
};

}  // namespace llm
