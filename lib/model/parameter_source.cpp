#include "model/parameter_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/families/families.h"
#include "model/parameter_layout.h"

namespace llm {

ParameterSource::ParameterSource(const ModelConfig& config, std::unique_ptr<WeightSource> weights)
    : weights_(std::move(weights)) {
  compare(config);
  std::map<std::string, std::vector<int64_t>> shapes;
  for (ParameterPlace& place : parameter_layout(config)) {
    shapes.emplace(std::move(place.name), std::move(place.shape));
  }
  for (size_t i = 0; i < stored_.size(); ++i) {
    const std::vector<std::string>& parameters = stored_[i].map.parameters;
    for (size_t part = 0; part < parameters.size(); ++part) {
      places_.emplace(parameters[part], Place{i, part, shapes.at(parameters[part])});
    }
  }
}

// Fills stored_, or says in one message all that does not fit.
void ParameterSource::compare(const ModelConfig& config) {
  const Family& family = family_of(config);
  std::map<std::string, const WeightEntry*> found;
  for (const WeightEntry& entry : weights_->entries()) {
    const std::string name = canonical_stored_name(config, family, entry.name);
    if (name.empty()) {
      continue;
    }
    const auto [place, fresh] = found.emplace(name, &entry);
    check_input(fresh, "{}: tensors '{}' and '{}' are the same parameter", weights_->place(),
                place->second->name, entry.name);
  }
  WeightMismatch mismatch;
  for (const StoredTensor& tensor : stored_tensors(config, family)) {
    const auto entry = found.find(tensor.name);
    if (entry == found.end()) {
      mismatch.missing.push_back(tensor.name);
      continue;
    }
    if (entry->second->shape != tensor.shape) {
      mismatch.misshapen.push_back(fmt::format("{} is {}, the model needs {}", tensor.name,
                                               shape_text(entry->second->shape),
                                               shape_text(tensor.shape)));
    }
    stored_.push_back({tensor, entry->second});
    found.erase(entry);
  }
  for (const auto& [name, entry] : found) {
    if (!(config.tie_word_embeddings && name == "lm_head.weight")) {
      mismatch.unused.push_back(entry->name);
    }
  }
  mismatch.require_none(weights_->place());
}

std::optional<StoredRows> ParameterSource::rows(const std::string& name) const {
  const Place& place = places_.at(name);
  const Stored& stored = stored_[place.stored];
  if (stored.map.layout != StoredLayout::rows) return std::nullopt;
  std::optional<StoredRows> found = weights_->rows(*stored.entry);
  if (!found || stored.map.parameters.size() == 1) return found;
  if (found->paired_head_rows != 0 || place.shape.size() != 2) return std::nullopt;
  int64_t first = 0;
  for (size_t part = 0; part < place.part; ++part)
    first += places_.at(stored.map.parameters[part]).shape[0];
  found->data = found->row(first);
  found->rows = place.shape[0];
  return found;
}

void ParameterSource::release(const std::string& name) const {
  const Place& place = places_.at(name);
  if (place.part + 1 == stored_[place.stored].map.parameters.size()) {
    parts_.reset();
    split_ = static_cast<size_t>(-1);
    weights_->release(*stored_[place.stored].entry);
  }
}

std::string ParameterSource::stored_dtype() const {
  std::map<std::string, uint64_t> bytes;
  for (const Stored& stored : stored_) {
    bytes[stored.entry->dtype] += stored.entry->bytes;
  }
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? "" : most->first;
}

}  // namespace llm
