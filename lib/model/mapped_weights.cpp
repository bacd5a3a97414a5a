#include "model/mapped_weights.h"

#include <algorithm>

#include "base/sealed_file.h"
#include "model/pytorch_file.h"
#include "model/safetensors.h"
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

RawTensor MappedWeights::raw(const WeightEntry& entry) const {
  const WeightPlace& place = place_of(entry);
  RawTensor stored;
  stored.data = place.file->data() + place.begin;
  stored.bytes = place.end - place.begin;
  stored.strides = place.strides;
  stored.keeper = place.file;
  return stored;
}

void MappedWeights::release(const WeightEntry& entry) const {
  const WeightPlace& place = place_of(entry);
  place.file->release(place.begin, place.end - place.begin);
}

std::unique_ptr<MappedWeights> map_safetensors(const std::filesystem::path& file,
                                               const EncryptionKey& key) {
  const auto mapping = std::make_shared<const MappedFile>(open_file(file, key));
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

std::unique_ptr<MappedWeights> map_pytorch(const std::filesystem::path& file,
                                           const EncryptionKey& key) {
  const auto mapping = std::make_shared<const MappedFile>(open_file(file, key));
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

std::unique_ptr<WeightSource> open_safetensors(const std::filesystem::path& file,
                                               const EncryptionKey& key) {
  return map_safetensors(file, key);
}

std::unique_ptr<WeightSource> open_pytorch(const std::filesystem::path& file,
                                           const EncryptionKey& key) {
  return map_pytorch(file, key);
}

}  // namespace llm
