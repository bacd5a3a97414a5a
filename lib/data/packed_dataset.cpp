#include "data/packed_dataset.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "data/loss_mask.h"

namespace llm {

PackedDataset::PackedDataset(TokenFile file, int64_t seq_len)
    : file_(std::move(file)), seq_len_(seq_len) {
  check(seq_len >= 1, "packed dataset: seq_len must be at least 1, got {}", seq_len);
  check_input(file_.tokens() > seq_len, "'{}': {} tokens, need at least {} for seq_len {}",
              token_bin_path(file_.prefix()).string(), file_.tokens(), seq_len + 1, seq_len);
  windows_ = (file_.tokens() - 1) / seq_len;
}

int64_t PackedDataset::shiftable_size() const {
  return std::max<int64_t>((file_.tokens() - seq_len_) / seq_len_, 1);
}

int64_t PackedDataset::max_shift(int64_t windows) const {
  return std::min(file_.tokens() - 1 - windows * seq_len_, seq_len_ - 1);
}

void PackedDataset::copy_window(int64_t index, std::span<int64_t> out, int64_t shift) const {
  check(index >= 0 && index < windows_, "packed dataset: window {} of {}", index, windows_);
  check(out.size() == static_cast<size_t>(seq_len_) + 1,
        "packed dataset: room for {} tokens, a window has {}", out.size(), seq_len_ + 1);
  file_.read(index * seq_len_ + shift, out);
}

void PackedDataset::copy_windows(std::span<const int64_t> indices, std::span<int64_t> out,
                                 int64_t shift) const {
  const auto cols = static_cast<size_t>(seq_len_) + 1;
  for (int64_t index : indices) {
    check(index >= 0 && index < windows_, "packed dataset: window {} of {}", index, windows_);
    file_.expect_search(index * seq_len_);
  }
  for (int64_t index : indices) {
    file_.expect_tokens(index * seq_len_ + shift, seq_len_ + 1);
  }
  for (size_t i = 0; i < indices.size(); ++i) {
    copy_window(indices[i], out.subspan(cols * i, cols), shift);
  }
}

void PackedDataset::read(std::span<const RowPlace> places, Batch& batch) const {
  constexpr size_t kWindowsAtOnce = 8;  // their first lines fit the first-level cache
  const auto cols = static_cast<size_t>(seq_len_) + 1;
  batch.rows = static_cast<int64_t>(places.size());
  batch.cols = seq_len_ + 1;
  batch.documents.clear();
  batch.tokens.resize(cols * places.size());
  const std::span<int64_t> out = batch.tokens;
  for (size_t done = 0; done < places.size();) {
    std::array<int64_t, kWindowsAtOnce> windows;
    size_t many = 0;
    const int64_t shift = places[done].shift;
    for (; many < kWindowsAtOnce && done + many < places.size(); ++many) {
      if (places[done + many].shift != shift) break;
      windows[many] = places[done + many].index;
    }
    copy_windows({windows.data(), many}, out.subspan(cols * done, cols * many), shift);
    done += many;
  }
  const LossMask* mask = file_.loss_mask();
  batch.learnt.resize(mask == nullptr ? 0 : batch.tokens.size());
  for (size_t r = 0; mask != nullptr && r < places.size(); ++r) {
    mask->read(places[r].index * seq_len_ + places[r].shift,
               std::span(batch.learnt).subspan(r * cols, cols));
  }
}

}  // namespace llm
