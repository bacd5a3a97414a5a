// Precision modes and loss scaling.
//
//   32-true     parameters, products and optimizer in fp32
//   bf16-mixed  fp32 parameters and optimizer, products in bf16 from a rounded copy of the weights
//   bf16-true   bf16 parameters and products, fp32 optimizer state
//   16-mixed    as bf16-mixed with fp16, and a loss scale that halves on overflow and doubles after
//   `growth_interval` good steps auto        bf16-mixed where the device multiplies bf16 natively,
//   else 32-true
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace llm {

struct Precision {
  std::string name = "32-true";
  at::ScalarType parameters = at::kFloat;
  at::ScalarType compute = at::kFloat;
  bool loss_scaling = false;
};

/// Throws Error(usage) for an unknown name.
Precision parse_precision(std::string_view name, const at::Device& device);
/// What "auto" means on this device.
std::string native_precision(const at::Device& device);
/// What computes a run there, as checkpoints record it: the backend of a CPU ("avx2",
/// kernels/cpu_backend.h), else the kind of device ("cuda"). Others add in another order.
std::string training_kernels(const at::Device& device);

/// https://arxiv.org/abs/1710.03740, section 3.2. Scale is a power of two, so scaling and unscaling
/// lose nothing.
struct LossScale {
  bool enabled = false;
  double value = 65536;
  int64_t good_steps = 0;
  int64_t growth_interval = 2000;

  double current() const { return enabled ? value : 1.0; }
  void update(bool finite);
};

}  // namespace llm
