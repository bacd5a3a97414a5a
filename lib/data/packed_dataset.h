// Training windows over a token file: documents are packed one after another, each window is
// seq_len + 1 consecutive tokens, windows start every seq_len tokens. Inputs are window[0 ..
// seq_len), targets window[1 .. seq_len]; each token after the first is a target exactly once per
// pass.
//
// Where the dataset has a loss mask, targets that are not to be learnt are marked. Shapes: a window
// is (seq_len + 1) int64. Owns the TokenFile. Const methods are thread-safe.
#pragma once

#include <cstdint>
#include <span>

#include "data/row_source.h"

namespace llm {

class PackedDataset final : public RowSource {
 public:
  /// Exit 3: `dataset has 0 tokens`, `300 tokens, need at least 1025 for seq_len 1024`.
  PackedDataset(TokenFile file, int64_t seq_len);

  int64_t size() const override { return windows_; }
  int64_t seq_len() const override { return seq_len_; }
  int64_t tokens() const { return file_.tokens(); }
  const TokenFile& file() const override { return file_; }

  /// Window `index`, moved right by `shift` tokens; out.size() == seq_len + 1. The moved window
  /// must end inside the stream.
  void copy_window(int64_t index, std::span<int64_t> out, int64_t shift = 0) const;
  /// Several windows, one after another in `out`; faster than one call each, because what they read
  /// is asked for ahead.
  void copy_windows(std::span<const int64_t> indices, std::span<int64_t> out,
                    int64_t shift = 0) const;
  /// size() or one less, at least 1 (then only shift 0 may be left).
  int64_t shiftable_size() const override;
  int64_t max_shift(int64_t windows) const override;
  void read(std::span<const RowPlace> places, Batch& batch) const override;

 private:
  TokenFile file_;
  int64_t seq_len_ = 0;
  int64_t windows_ = 0;
};

}  // namespace llm
