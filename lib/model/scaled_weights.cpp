#include "model/scaled_weights.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "model/tensor_file.h"
#include "model/weight_containers.h"

namespace llm {
namespace {

constexpr int64_t kUsualBlock = 128;

[[noreturn]] void refuse_scales(const std::string& name, const at::Tensor& scale,
                                const at::Tensor& weight) {
  fail(Exit::bad_input, fmt::format("{}: scales of {} do not fit {}", name,
                                    shape_text(scale.sizes()), shape_text(weight.sizes())));
}

at::Tensor exponents_to_float(const at::Tensor& bytes) {
  return at::exp2(bytes.to(at::kFloat) - 127);
}

at::Tensor scale_numbers(const at::Tensor& scale) {
  if (scale.scalar_type() == at::kByte) {
    return exponents_to_float(scale);
  }
  return scale.to(at::kFloat);
}

int64_t usual_blocks(int64_t length) { return (length + kUsualBlock - 1) / kUsualBlock; }

/// Each number along a dimension repeated over its block of `length` places. Where blocks of 128
/// give this many numbers, it is those that the number counts.
at::Tensor spread(const at::Tensor& grid, int64_t dimension, int64_t length) {
  const int64_t blocks = grid.size(dimension);
  const int64_t block = blocks == usual_blocks(length) ? kUsualBlock : length / blocks;
  return at::repeat_interleave(grid, block, dimension).slice(dimension, 0, length);
}

bool covers(int64_t blocks, int64_t length) {
  return blocks > 0 && (length % blocks == 0 || blocks == usual_blocks(length));
}

}  // namespace

at::Tensor apply_scales(const at::Tensor& weight, const at::Tensor& scale,
                        const std::string& name) {
  at::Tensor grid = scale_numbers(scale);
  const at::Tensor values = weight.to(at::kFloat);
  if (grid.numel() == 1) {
    return values * grid.reshape({1});
  }
  if (weight.dim() < 2) {
    refuse_scales(name, scale, weight);
  }
  const int64_t rows = weight.size(-2), columns = weight.size(-1);
  if (grid.dim() == 1 && grid.size(0) == rows) {
    grid = grid.unsqueeze(-1);
  }
  if (grid.dim() != weight.dim() || !covers(grid.size(-2), rows) ||
      !covers(grid.size(-1), columns) ||
      grid.sizes().slice(0, grid.dim() - 2) != weight.sizes().slice(0, weight.dim() - 2)) {
    refuse_scales(name, scale, weight);
  }
  return values * spread(spread(grid, -2, rows), -1, columns);
}

at::Tensor dequantise_mxfp4(const at::Tensor& blocks, const at::Tensor& scales,
                            const std::string& name) {
  constexpr std::array<float, 16> kValues = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,
                                             4.0F,  6.0F,  -0.0F, -0.5F, -1.0F, -1.5F,
                                             -2.0F, -3.0F, -4.0F, -6.0F};
  if (blocks.scalar_type() != at::kByte || blocks.dim() < 2 || blocks.size(-1) != 16 ||
      (scales.scalar_type() != at::kByte && scales.scalar_type() != at::kFloat8_e8m0fnu) ||
      scales.sizes() != blocks.sizes().slice(0, blocks.dim() - 1)) {
    refuse_scales(name, scales, blocks);
  }
  const at::Tensor packed = blocks.contiguous(),
                   powers = exponents_to_float(scales.contiguous().view(at::kByte));
  std::vector<int64_t> shape = blocks.sizes().vec();
  shape.pop_back();
  shape.back() *= 32;
  at::Tensor result = at::empty(shape, at::TensorOptions(at::kBFloat16));
  const uint8_t* bytes = packed.const_data_ptr<uint8_t>();
  const float* scale = powers.const_data_ptr<float>();
  auto* out = result.mutable_data_ptr<at::BFloat16>();
  for (int64_t group = 0; group < powers.numel(); ++group) {
    for (int64_t i = 0; i < 16; ++i) {
      const uint8_t pair = *bytes++;
      *out++ = kValues[pair & 15] * scale[group];
      *out++ = kValues[pair >> 4] * scale[group];
    }
  }
  return shape.size() >= 3 ? result.transpose(-1, -2) : result;
}

namespace {

/// Weights with their scales joined; everything else as `stored_` has it.
class ScaledWeights final : public WeightSource {
 public:
  explicit ScaledWeights(std::unique_ptr<WeightSource> stored);

  std::string place() const override { return stored_->place(); }
  std::string format() const override { return stored_->format(); }
  const std::vector<WeightEntry>& entries() const override { return entries_; }
  RawTensor raw(const WeightEntry& entry) const override;
  void release(const WeightEntry& entry) const override;
  std::map<std::string, std::string> metadata() const override { return stored_->metadata(); }
  bool any() const { return any_; }
  std::unique_ptr<WeightSource> take() { return std::move(stored_); }

 private:
  enum class Joining { none, scale, bitsandbytes, mxfp4 };
  struct Pair {
    const WeightEntry* weight;
    const WeightEntry* scale = nullptr;
    Joining joining = Joining::none;
  };
  Pair pair_of(const WeightEntry& weight) const;
  const Pair& pair_behind(const WeightEntry& entry) const {
    return pairs_[static_cast<size_t>(&entry - entries_.data())];
  }
  bool is_companion(const WeightEntry& entry) const;

  std::unique_ptr<WeightSource> stored_;
  std::vector<WeightEntry> entries_;
  std::vector<Pair> pairs_;
  bool any_ = false;
};

bool is_quantised(const std::string& dtype) {
  return dtype == "F8_E4M3" || dtype == "F8_E5M2" || dtype == "I8";
}

std::string without_suffix(const std::string& name, std::string_view suffix) {
  return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : "";
}

ScaledWeights::ScaledWeights(std::unique_ptr<WeightSource> stored) : stored_(std::move(stored)) {
  for (const WeightEntry& entry : stored_->entries()) {
    if (is_companion(entry)) {
      any_ = true;
      continue;
    }
    const Pair pair = pair_of(entry);
    WeightEntry shown = entry;
    if (pair.scale != nullptr) {
      shown.bytes += pair.scale->bytes;
    }
    if (pair.joining == Joining::mxfp4) {
      shown.name = without_suffix(entry.name, "_blocks");
      shown.dtype = "MXFP4";
      shown.shape.pop_back();
      check_input(!shown.shape.empty() &&
                      !__builtin_mul_overflow(shown.shape.back(), 32, &shown.shape.back()),
                  "{}: tensor '{}' has no MXFP4 blocks", place(), entry.name);
      if (shown.shape.size() >= 3) {
        std::swap(shown.shape.back(), shown.shape[shown.shape.size() - 2]);
      }
    }
    entries_.push_back(std::move(shown));
    pairs_.push_back(pair);
  }
}

// Scales, and what travels with them: the scale of activations, which weights alone do not need.
bool ScaledWeights::is_companion(const WeightEntry& entry) const {
  const auto quantised = [this](const std::string& name) {
    const WeightEntry* weight = name.empty() ? nullptr : stored_->find(name);
    return weight != nullptr && is_quantised(weight->dtype);
  };
  for (const char* suffix : {"_scale_inv", "_scale"}) {
    if (quantised(without_suffix(entry.name, suffix))) {
      return true;
    }
  }
  for (const char* suffix : {".SCB", ".weight_format", ".input_scale"}) {
    if (const std::string stem = without_suffix(entry.name, suffix); quantised(stem + ".weight")) {
      return true;
    }
  }
  const std::string stem = without_suffix(entry.name, "_scales");
  const WeightEntry* blocks = stem.empty() ? nullptr : stored_->find(stem + "_blocks");
  return blocks != nullptr && blocks->dtype == "U8";
}

ScaledWeights::Pair ScaledWeights::pair_of(const WeightEntry& weight) const {
  if (is_quantised(weight.dtype)) {
    for (const char* suffix : {"_scale_inv", "_scale"}) {
      if (const WeightEntry* scale = stored_->find(weight.name + suffix)) {
        return {&weight, scale, Joining::scale};
      }
    }
    const std::string stem = without_suffix(weight.name, ".weight");
    const WeightEntry* scale = stem.empty() ? nullptr : stored_->find(stem + ".SCB");
    if (scale != nullptr && weight.dtype == "I8") {
      return {&weight, scale, Joining::bitsandbytes};
    }
  }
  const std::string stem = without_suffix(weight.name, "_blocks");
  const WeightEntry* scales = stem.empty() ? nullptr : stored_->find(stem + "_scales");
  if (scales != nullptr && weight.dtype == "U8") {
    return {&weight, scales, Joining::mxfp4};
  }
  return {&weight};
}

RawTensor ScaledWeights::raw(const WeightEntry& entry) const {
  const Pair& pair = pair_behind(entry);
  if (pair.scale == nullptr) {
    return stored_->raw(*pair.weight);
  }
  RawTensor product;
  product.computed = [this, &pair, name = fmt::format("{}: tensor '{}'", place(), entry.name)] {
    const at::Tensor weight = stored_->tensor(*pair.weight), scale = stored_->tensor(*pair.scale);
    switch (pair.joining) {
      case Joining::mxfp4:
        return dequantise_mxfp4(weight, scale, name);
      case Joining::bitsandbytes:
        return apply_scales(weight, scale.to(at::kFloat) / 127, name);
      default:
        return apply_scales(weight, scale, name);
    }
  };
  return product;
}

void ScaledWeights::release(const WeightEntry& entry) const {
  stored_->release(*pair_behind(entry).weight);
}

}  // namespace

std::unique_ptr<WeightSource> join_scales(std::unique_ptr<WeightSource> stored) {
  auto joined = std::make_unique<ScaledWeights>(std::move(stored));
  if (!joined->any()) {
    return joined->take();
  }
  return joined;
}

}  // namespace llm
