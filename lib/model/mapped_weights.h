// Tensors that lie as they are in mapped files: what safetensors and PyTorch's .bin come down to.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "model/weight_source.h"

namespace llm {

/// Where one tensor lies. The parser of the container has checked that no element lies outside the
/// file.
struct WeightPlace {
  std::shared_ptr<const MappedFile> file;
  uint64_t begin = 0, end = 0;
  std::vector<int64_t> strides = {};  // in elements; empty: contiguous
};

class MappedWeights final : public WeightSource {
 public:
  MappedWeights(std::string place, std::string format)
      : place_(std::move(place)), format_(std::move(format)) {}
  void add(WeightEntry entry, WeightPlace place);
  /// Appends another container's tensors.
  void append(const MappedWeights& other);
  void set_metadata(std::map<std::string, std::string> metadata) {
    metadata_ = std::move(metadata);
  }

  std::string place() const override { return place_; }
  std::string format() const override { return format_; }
  const std::vector<WeightEntry>& entries() const override { return entries_; }
  RawTensor raw(const WeightEntry& entry) const override;
  void release(const WeightEntry& entry) const override;
  std::map<std::string, std::string> metadata() const override { return metadata_; }

 private:
  const WeightPlace& place_of(const WeightEntry& entry) const;

  std::string place_, format_;
  std::vector<WeightEntry> entries_;
  std::vector<WeightPlace> places_;
  std::map<std::string, std::string> metadata_;
};

std::unique_ptr<MappedWeights> map_safetensors(const std::filesystem::path& file,
                                               const EncryptionKey& key);
std::unique_ptr<MappedWeights> map_pytorch(const std::filesystem::path& file,
                                           const EncryptionKey& key);

}  // namespace llm
