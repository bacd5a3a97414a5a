// What the kernel tests share: seeded tensors, a scalar objective with fixed weights, and closeness
// stated in units of the dtype's rounding.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "model/kernels/cpu_backend.h"
#include "model/kernels/kernels.h"

namespace llm {

inline at::Tensor normal(at::IntArrayRef shape, int64_t seed, at::ScalarType type = at::kFloat) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(seed));
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kFloat)).to(type);
}

inline at::Tensor leaf(const at::Tensor& value) {
  return value.detach().clone().requires_grad_(true);
}

/// A scalar whose gradient with respect to y is a fixed random tensor.
inline at::Tensor objective(const at::Tensor& y) {
  return (y.to(at::kFloat) * normal(y.sizes(), 99)).sum();
}

/// Largest difference relative to the largest magnitude of the expected tensor.
inline double relative_error(const at::Tensor& got, const at::Tensor& expected) {
  const auto want = expected.to(at::kDouble);
  return ((got.to(at::kDouble) - want).abs().max() / (want.abs().max() + 1e-30)).item<double>();
}

inline double tolerance(at::ScalarType type) { return type == at::kFloat ? 3e-6 : 1.6e-2; }

#define SKIP_WITHOUT_FUSED_KERNELS()                                         \
  if (!has_cpu_backend()) {                                                  \
    GTEST_SKIP() << "this CPU lacks AVX2: only the reference operators run"; \
  }

}  // namespace llm
