#include "model/weight_source.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "model/stored_format.h"

namespace llm {
namespace {

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kMost = 3;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMost); ++i) {
    text += (i > 0 ? ", " : "") + (names[i].size() <= 200 ? names[i] : names[i].substr(0, 200));
  }
  return text + (names.size() > kMost ? ", ..." : "");
}

}  // namespace

std::string shape_text(std::span<const int64_t> shape) {
  return shape.empty() ? "1" : fmt::format("{}", fmt::join(shape, "x"));
}

const WeightEntry* WeightSource::find(std::string_view name) const {
  std::call_once(indexed_, [this] {
    for (size_t i = 0; i < entries().size(); ++i) {
      index_.emplace(entries()[i].name, i);
    }
  });
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries()[found->second];
}

std::optional<StoredRows> WeightSource::rows(const WeightEntry& entry) const {
  const RawTensor stored = raw(entry);
  const size_t dimensions = entry.shape.size();
  const bool paired = stored.change == RawTensor::Change::paired_rows;
  const bool plain = entry.dtype == "F32" || entry.dtype == "BF16" || entry.dtype == "F16";
  if (stored.computed || !stored.strides.empty() || dimensions == 0 || dimensions > 2 ||
      stored.change == RawTensor::Change::plus_one || (paired && dimensions == 1) ||
      (stored.blocks == nullptr && !plain)) {
    return std::nullopt;
  }
  StoredRows rows =
      rows_in_format(stored.blocks ? *stored.blocks : *find_block_format(entry.dtype), stored.data,
                     dimensions == 2 ? entry.shape[0] : 1, entry.shape.back());
  rows.paired_head_rows = paired ? stored.head_rows : 0;
  rows.keeper = stored.keeper;
  return rows;
}

std::string WeightMismatch::text() const {
  std::string message;
  const auto add = [&](const std::string& part) {
    message += (message.empty() ? "" : "; ") + part;
  };
  if (!missing.empty()) {
    add(fmt::format("missing {} tensor{} ({})", missing.size(), missing.size() == 1 ? "" : "s",
                    listed(missing)));
  }
  if (!unused.empty()) {
    add(fmt::format("{} not used ({})", unused.size(), listed(unused)));
  }
  if (!misshapen.empty()) {
    add(fmt::format("{} of the wrong shape ({})", misshapen.size(), listed(misshapen)));
  }
  return message;
}

void WeightMismatch::require_none(const std::string& place) const {
  if (!none()) {
    fail(Exit::bad_input, place + ": " + text());
  }
}

}  // namespace llm
