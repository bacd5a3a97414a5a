#include "model/mapped_weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "model/pytorch_file.h"
#include "model/safetensors.h"
#include "model/tensor_file.h"
#include "model/weight_containers.h"

namespace llm {

void MappedWeights::add(WeightEntry entry, WeightPlace place) {
  entries_.push_back(std::move(entry));
  places_.push_back(std::move(place));
}

void MappedWeights::append(const MappedWeights& other) {
  entries_.insert(entries_.end(), other.entries_.begin(), other.entries_.end());
  places_.insert(places_.end(), other.places_.begin(), other.places_.end());
}

const WeightPlace& MappedWeights::place_of(const WeightEntry& entry) const {
  return places_[static_cast<size_t>(&entry - entries_.data())];
}

at::Tensor MappedWeights::tensor(const WeightEntry& entry) const {
  const WeightPlace& place = place_of(entry);
  const auto type = safetensors_scalar_type(entry.dtype);
  check_input(type.has_value(), "{}: tensor '{}': dtype '{}' cannot be computed with",
              place.file->path().string(), entry.name, entry.dtype);
  const auto options = at::TensorOptions(*type);
  const std::byte* data = place.file->data() + place.begin;
  if (std::find(entry.shape.begin(), entry.shape.end(), 0) != entry.shape.end()) {
    return at::empty(entry.shape, options);
  }
  std::shared_ptr<void> keeper = std::const_pointer_cast<MappedFile>(place.file);
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(*type) != 0) {
    // Legal in the formats, not in LibTorch: the bytes are copied to where they may be used.
    const auto bytes = static_cast<size_t>(place.end - place.begin);
    auto copy =
        std::make_shared<std::vector<std::max_align_t>>(bytes / sizeof(std::max_align_t) + 1);
    std::memcpy(copy->data(), data, bytes);
    data = reinterpret_cast<const std::byte*>(copy->data());
    keeper = std::move(copy);
  }
  void* values = const_cast<std::byte*>(data);
  const auto keep = [keeper](void*) {};
  return place.strides.empty() ? at::from_blob(values, entry.shape, keep, options)
                               : at::from_blob(values, entry.shape, place.strides, keep, options);
}

void MappedWeights::release(const WeightEntry& entry) const {
  const WeightPlace& place = place_of(entry);
  place.file->release(place.begin, place.end - place.begin);
}

std::unique_ptr<MappedWeights> map_safetensors(const std::filesystem::path& file) {
  const auto mapping = std::make_shared<const MappedFile>(MappedFile::open(file));
  SafetensorsHeader header = parse_safetensors(mapping->bytes(), file.string());
  auto weights = std::make_unique<MappedWeights>(file.string(), "safetensors");
  for (SafetensorsEntry& entry : header.tensors) {
    weights->add({std::move(entry.name), std::move(entry.dtype), std::move(entry.shape),
                  entry.end - entry.begin},
                 {mapping, header.data_offset + entry.begin, header.data_offset + entry.end});
  }
  weights->set_metadata(std::move(header.metadata));
  return weights;
}

std::unique_ptr<MappedWeights> map_pytorch(const std::filesystem::path& file) {
  const auto mapping = std::make_shared<const MappedFile>(MappedFile::open(file));
  auto weights = std::make_unique<MappedWeights>(file.string(), "PyTorch");
  for (PytorchTensor& tensor : parse_pytorch_file(mapping->bytes(), file.string())) {
    // The bytes that its elements span, from the first to the last.
    uint64_t span = 1, count = 1;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      count *= static_cast<uint64_t>(tensor.shape[i]);
      span += static_cast<uint64_t>(std::max<int64_t>(tensor.shape[i] - 1, 0)) *
              static_cast<uint64_t>(tensor.strides[i]);
    }
    const uint64_t size = static_cast<uint64_t>(safetensors_dtype_bits(tensor.dtype)) / 8;
    weights->add(
        {std::move(tensor.name), std::move(tensor.dtype), std::move(tensor.shape), count * size},
        {mapping, tensor.begin, tensor.begin + (count == 0 ? 0 : span * size),
         std::move(tensor.strides)});
  }
  return weights;
}

std::unique_ptr<WeightSource> open_safetensors(const std::filesystem::path& file) {
  return map_safetensors(file);
}

std::unique_ptr<WeightSource> open_pytorch(const std::filesystem::path& file) {
  return map_pytorch(file);
}

}  // namespace llm
