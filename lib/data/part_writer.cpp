#include "data/part_writer.h"

#include <utility>

namespace llm {

PartWriter::PartWriter(const std::filesystem::path& prefix, std::string tokenizer_sha256)
    : tokenizer_sha256_(std::move(tokenizer_sha256)) {
  set_.prefix = prefix;
}

void PartWriter::add(const EncodedChunk::Piece& piece, std::span<const int32_t> ids,
                     std::span<const uint8_t> learnt) {
  if (!writer_) {
    writer_ = std::make_unique<TokenFileWriter>(set_.prefix, tokenizer_sha256_);
  }
  if (piece.begins && open_) {
    writer_->end_sequence();
  }
  writer_->add(ids, learnt);
  open_ = !piece.ends;
  if (piece.ends) {
    writer_->end_sequence();
  }
  set_.tokens = writer_->tokens();
  set_.tokens_to_learn = writer_->tokens_to_learn();
  set_.documents += piece.begins ? 1 : 0;
  set_.text_bytes += piece.text_bytes;
}

}  // namespace llm
