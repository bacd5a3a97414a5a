#include "data/document_dataset.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "data/loss_mask.h"

namespace llm {

DocumentDataset::DocumentDataset(TokenFile file, Options options)
    : file_(std::move(file)), options_(options) {
  check(options.seq_len >= 1, "document dataset: seq_len must be at least 1, got {}",
        options.seq_len);
  choose_documents();
  check_input(!documents_.empty(),
              "'{}': none of the {} documents has a token to learn among its first {}",
              token_bin_path(file_.prefix()).string(), file_.sequences(), options.seq_len + 1);
  if (options.packed) {
    pack();
  } else {
    first_.resize(documents_.size() + 1);
    std::iota(first_.begin(), first_.end(), 0);
  }
}

int64_t DocumentDataset::length(int64_t document) const {
  return std::min(file_.first_token(document + 1) - file_.first_token(document),
                  options_.seq_len + 1);
}

bool DocumentDataset::has_targets(int64_t document) const {
  const int64_t tokens = length(document), begin = file_.first_token(document);
  const LossMask* mask = file_.loss_mask();
  return tokens >= 2 && (mask == nullptr || mask->count(begin + 1, begin + tokens) > 0);
}

void DocumentDataset::choose_documents() {
  for (int64_t document = 0; document < file_.sequences(); ++document) {
    if (!has_targets(document)) {
      left_out_ += 1;
      continue;
    }
    const int64_t whole = file_.first_token(document + 1) - file_.first_token(document);
    cut_short_ += whole > options_.seq_len + 1 ? 1 : 0;
    documents_.push_back(document);
  }
}

void DocumentDataset::pack() {
  std::stable_sort(documents_.begin(), documents_.end(),
                   [this](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<std::vector<int64_t>> rows;
  std::set<std::pair<int64_t, size_t>> room;  // tokens left, row
  for (const int64_t document : documents_) {
    const int64_t tokens = length(document);
    auto best = room.lower_bound({tokens, 0});
    size_t row = rows.size();
    int64_t left = options_.seq_len + 1;
    if (best != room.end()) {
      std::tie(left, row) = *best;
      room.erase(best);
    } else {
      rows.emplace_back();
    }
    rows[row].push_back(document);
    room.insert({left - tokens, row});
  }
  documents_.clear();
  first_ = {0};
  for (const std::vector<int64_t>& row : rows) {
    documents_.insert(documents_.end(), row.begin(), row.end());
    first_.push_back(static_cast<int64_t>(documents_.size()));
  }
}

std::span<const int64_t> DocumentDataset::row(int64_t index) const {
  check(index >= 0 && index < size(), "document dataset: row {} of {}", index, size());
  const auto begin = static_cast<size_t>(first_[static_cast<size_t>(index)]);
  const auto end = static_cast<size_t>(first_[static_cast<size_t>(index) + 1]);
  return std::span(documents_).subspan(begin, end - begin);
}

void DocumentDataset::read(std::span<const RowPlace> places, Batch& batch) const {
  batch.rows = static_cast<int64_t>(places.size());
  batch.cols = 0;
  for (const RowPlace& place : places) {
    int64_t tokens = 0;
    for (const int64_t document : row(place.index)) {
      tokens += length(document);
    }
    batch.cols = std::max(batch.cols, tokens);
  }
  const auto cols = static_cast<size_t>(batch.cols);
  batch.tokens.assign(places.size() * cols, 0);
  batch.learnt.assign(places.size() * cols, 0);
  batch.documents.assign(places.size() * cols, kPadding);
  for (size_t r = 0; r < places.size(); ++r) {
    size_t at = r * cols;
    int32_t number = 0;
    for (const int64_t document : row(places[r].index)) {
      read_document(document, number++, at, batch);
      at += static_cast<size_t>(length(document));
    }
  }
}

void DocumentDataset::read_document(int64_t document, int32_t number, size_t at,
                                    Batch& batch) const {
  const auto tokens = static_cast<size_t>(length(document));
  const int64_t begin = file_.first_token(document);
  file_.read(begin, std::span(batch.tokens).subspan(at, tokens));
  std::fill_n(batch.documents.begin() + static_cast<ptrdiff_t>(at), tokens, number);
  const std::span<uint8_t> learnt = std::span(batch.learnt).subspan(at, tokens);
  if (file_.loss_mask() != nullptr) {
    file_.loss_mask()->read(begin, learnt);
  } else {
    std::fill(learnt.begin(), learnt.end(), 1);
  }
  learnt[0] = 0;  // nothing stands before it
}

}  // namespace llm
