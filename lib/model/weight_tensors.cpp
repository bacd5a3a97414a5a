// Stored tensors as LibTorch's; see weight_source.h.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "model/tensor_file.h"
#include "model/weight_containers.h"
#include "model/weight_source.h"

namespace llm {
namespace {

// Rows 0, 2, 4, ... of every head and then its rows 1, 3, 5, ...: whole rows are copied, without a
// parallel region, whose threads would go on spinning beside the model's own.
at::Tensor halved_rows(const at::Tensor& stored, int64_t head_dim) {
  at::Tensor result = at::empty_like(stored);
  const auto* from = static_cast<const std::byte*>(stored.const_data_ptr());
  auto* to = static_cast<std::byte*>(result.mutable_data_ptr());
  const size_t row_bytes = stored.nbytes() / static_cast<size_t>(stored.size(0));
  for (int64_t row = 0; row < stored.size(0); ++row) {
    const int64_t in_head = row % head_dim;
    const int64_t place = row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
    std::memcpy(to + static_cast<size_t>(place) * row_bytes,
                from + static_cast<size_t>(row) * row_bytes, row_bytes);
  }
  return result;
}

std::optional<at::ScalarType> plain_type(const BlockFormat& format) {
  switch (format.type) {
    case GgmlType::f32:
      return at::kFloat;
    case GgmlType::f16:
      return at::kHalf;
    case GgmlType::bf16:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

at::Tensor view_of(const RawTensor& stored, const std::vector<int64_t>& shape,
                   at::ScalarType type) {
  const auto options = at::TensorOptions(type);
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    return at::empty(shape, options);
  }
  const std::byte* data = stored.data;
  std::shared_ptr<const void> keeper = stored.keeper;
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(type) != 0) {
    // Legal in the formats, not in LibTorch: the bytes are copied to where they may be used.
    const auto copy = std::make_shared<std::vector<std::max_align_t>>(
        stored.bytes / sizeof(std::max_align_t) + 1);
    std::memcpy(copy->data(), data, stored.bytes);
    data = reinterpret_cast<const std::byte*>(copy->data());
    keeper = copy;
  }
  void* values = const_cast<std::byte*>(data);
  const auto keep = [keeper](void*) {};
  return stored.strides.empty() ? at::from_blob(values, shape, keep, options)
                                : at::from_blob(values, shape, stored.strides, keep, options);
}

at::Tensor block_values(const RawTensor& stored, const std::vector<int64_t>& shape) {
  const BlockFormat& format = *stored.blocks;
  if (const auto type = plain_type(format)) return view_of(stored, shape, *type);
  at::Tensor result = at::empty(shape, at::kFloat);
  float* out = result.mutable_data_ptr<float>();
  at::parallel_for(0, result.numel() / format.values, 4096 / format.values + 1,
                   [&](int64_t begin, int64_t end) {
                     const auto count = static_cast<size_t>(end - begin);
                     dequantize(format, {stored.data + begin * format.bytes, count * format.bytes},
                                {out + begin * format.values, count * format.values});
                   });
  return result;
}

}  // namespace

at::Tensor WeightSource::tensor(const WeightEntry& entry) const {
  const RawTensor stored = raw(entry);
  if (stored.computed) return stored.computed();
  if (stored.blocks == nullptr) {
    const auto type = safetensors_scalar_type(entry.dtype);
    check_input(type.has_value(), "{}: tensor '{}': dtype '{}' cannot be computed with", place(),
                entry.name, entry.dtype);
    return view_of(stored, entry.shape, *type);
  }
  const at::Tensor values = block_values(stored, entry.shape);
  switch (stored.change) {
    case RawTensor::Change::plus_one:
      return values.to(at::kFloat) - 1;
    case RawTensor::Change::paired_rows:
      return halved_rows(values.contiguous(), stored.head_rows);
    default:
      return values;
  }
}

at::Tensor WeightSource::tensor(std::string_view name) const {
  const WeightEntry* entry = find(name);
  check_input(entry != nullptr, "{}: tensor '{}' is missing", place(), name);
  return tensor(*entry);
}

std::unique_ptr<WeightSource> open_weights(const std::filesystem::path& path,
                                           const EncryptionKey& key) {
  return join_scales(open_stored_weights(path, key));
}

}  // namespace llm
