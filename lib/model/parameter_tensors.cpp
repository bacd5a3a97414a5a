// Parameters as LibTorch's tensors; see parameter_source.h.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "model/families/tensor_map.h"
#include "model/parameter_source.h"
#include "model/transformer.h"

namespace llm {

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
    parts_ = std::make_shared<std::vector<at::Tensor>>(std::move(parts));
    split_ = place.stored;
  }
  return (*parts_)[place.part];
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

}  // namespace llm
