// A model's parameters by our names and shapes, taken out of a container of weights by the family's
// map: the second half of loading. What can be a view into the file is one.
//
// The constructor compares the container with the map and throws one Error(bad_input) that names
// what is missing, left over or of another shape. No values are read before parameter() or
// copy_into(), which are all that needs LibTorch (parameter_tensors.cpp). Not thread-safe: it
// remembers the last tensor that had to be taken apart.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/families/family.h"
#include "model/model_config.h"
#include "model/weight_source.h"

namespace llm {

class Transformer;

class ParameterSource {
 public:
  ParameterSource(const ModelConfig& config, std::unique_ptr<WeightSource> weights);

  const WeightSource& weights() const { return *weights_; }
  bool has(const std::string& name) const { return places_.count(name) > 0; }
  /// In the stored number format (float32 where blocks or scales had to be applied), on the CPU,
  /// strides as they are. Treat as read-only.
  at::Tensor parameter(const std::string& name) const;
  /// The same without values: where its rows lie in the file, which stays open as long as this;
  /// none where they have to be computed or moved.
  std::optional<StoredRows> rows(const std::string& name) const;
  /// The caller has what it needs of this parameter: its pages may leave memory.
  void release(const std::string& name) const;
  /// Every parameter into a model of the same config, converted to its format.
  void copy_into(Transformer& model) const;
  /// What most of the weights are stored as: "BF16".
  std::string stored_dtype() const;

 private:
  struct Place {
    size_t stored;  // index into stored_
    size_t part;    // of stored_[stored].parameters
    std::vector<int64_t> shape;
  };
  struct Stored {
    StoredTensor map;
    const WeightEntry* entry;
  };
  at::Tensor values(const Stored& stored) const;
  void compare(const ModelConfig& config);

  std::unique_ptr<WeightSource> weights_;
  std::vector<Stored> stored_;
  std::map<std::string, Place> places_;
  mutable size_t split_ = static_cast<size_t>(-1);  // the tensor that parts_ were cut from
  mutable std::shared_ptr<std::vector<at::Tensor>> parts_;
};

}  // namespace llm
