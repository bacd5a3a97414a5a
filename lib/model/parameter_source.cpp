#include "model/parameter_source.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <set>

#include "base/error.h"
#include "model/families/families.h"
#include "model/families/tensor_map.h"
#include "model/parameter_layout.h"
#include "model/tensor_file.h"
#include "model/transformer.h"

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

at::Tensor ParameterSource::values(const Stored& stored) const {
  at::Tensor tensor = weights_->tensor(*stored.entry);
  check_input(at::isFloatingType(tensor.scalar_type()),
              "{}: tensor '{}' is stored as {}, not as floating-point weights", weights_->place(),
              stored.entry->name, stored.entry->dtype);
  return tensor;
}

at::Tensor ParameterSource::parameter(const std::string& name) const {
  const auto found = places_.find(name);
  check(found != places_.end(), "the model has no parameter '{}'", name);
  const Place& place = found->second;
  const Stored& stored = stored_[place.stored];
  if (stored.map.parameters.size() == 1 && stored.map.layout == StoredLayout::rows) {
    return values(stored);
  }
  if (split_ != place.stored) {
    const at::Tensor whole = values(stored);
    std::vector<at::Tensor> parts;
    int64_t row = 0;
    for (const std::string& parameter : stored.map.parameters) {
      const std::vector<int64_t>& shape = places_.at(parameter).shape;
      if (stored.map.layout == StoredLayout::rows && !shape.empty()) {
        parts.push_back(whole.narrow(0, row, shape[0]));
        row += shape[0];
      } else {
        parts.push_back(at::empty(shape, whole.options()));
      }
    }
    if (stored.map.layout != StoredLayout::rows) {
      split_stored(stored.map, whole, parts);
    }
    parts_ = std::move(parts);
    split_ = place.stored;
  }
  return parts_[place.part];
}

void ParameterSource::release(const std::string& name) const {
  const Place& place = places_.at(name);
  if (place.part + 1 == stored_[place.stored].map.parameters.size()) {
    parts_.clear();
    split_ = static_cast<size_t>(-1);
    weights_->release(*stored_[place.stored].entry);
  }
}

void ParameterSource::copy_into(Transformer& model) const {
  at::NoGradGuard no_grad;
  for (const Stored& stored : stored_) {
    std::vector<at::Tensor> targets;
    for (const std::string& name : stored.map.parameters) {
      targets.push_back(model.find_parameter(name)->tensor);
    }
    split_stored(stored.map, values(stored), targets);
    weights_->release(*stored.entry);
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
