// Rows of whole documents over a token file, for fine-tuning: each document is an example of its
// own and sees no other.
//
// Unpacked, a row is one document. Packed, a row holds as many as fit, by best fit in the order of
// falling length (https://arxiv.org/abs/2404.10830), the same in every epoch; which of them share a
// row changes nothing that is learnt. A document longer than seq_len + 1 tokens is cut at its end.
// Documents that have nothing to learn within that length are left out. Rows are padded to the
// longest row of their batch, so the batch is as wide as its rows need.
//
// Const and thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "data/row_source.h"

namespace llm {

class DocumentDataset final : public RowSource {
 public:
  struct Options {
    int64_t seq_len = 0;
    bool packed = false;
  };
  /// Exit 3: no document has a token to learn within seq_len.
  DocumentDataset(TokenFile file, Options options);

  const TokenFile& file() const override { return file_; }
  int64_t size() const override { return static_cast<int64_t>(first_.size()) - 1; }
  int64_t seq_len() const override { return options_.seq_len; }
  int64_t shiftable_size() const override { return size(); }
  int64_t max_shift(int64_t) const override { return 0; }
  void read(std::span<const RowPlace> places, Batch& batch) const override;

  int64_t documents() const { return static_cast<int64_t>(documents_.size()); }
  int64_t cut_short() const { return cut_short_; }  // documents longer than a row
  int64_t left_out() const { return left_out_; }    // documents without anything to learn
  /// Documents of a row, in their order there.
  std::span<const int64_t> row(int64_t index) const;

 private:
  int64_t length(int64_t document) const;  // tokens of it that a row takes
  bool has_targets(int64_t document) const;
  void choose_documents();
  void pack();
  void read_document(int64_t document, int32_t number, size_t at, Batch& batch) const;

  TokenFile file_;
  Options options_;
  std::vector<int64_t> documents_;  // row r holds [first_[r], first_[r + 1]) of them
  std::vector<int64_t> first_;
  int64_t cut_short_ = 0;
  int64_t left_out_ = 0;
};

}  // namespace llm
