#include "model/weight_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

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

const WeightEntry* WeightSource::find(std::string_view name) const {
  std::call_once(indexed_, [this] {
    for (size_t i = 0; i < entries().size(); ++i) {
      index_.emplace(entries()[i].name, i);
    }
  });
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries()[found->second];
}

at::Tensor WeightSource::tensor(std::string_view name) const {
  const WeightEntry* entry = find(name);
  check_input(entry != nullptr, "{}: tensor '{}' is missing", place(), name);
  return tensor(*entry);
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
