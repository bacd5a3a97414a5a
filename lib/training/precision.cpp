#include "training/precision.h"

#include <c10/core/DeviceType.h>

#include <algorithm>

#include "base/error.h"
#include "model/kernels/cpu_backend.h"

namespace llm {

std::string native_precision(const at::Device& device) {
  const bool native = device.is_cuda() || cpu_backend() == CpuBackend::avx512;
  return native ? "bf16-mixed" : "32-true";
}

std::string training_kernels(const at::Device& device) {
  return device.is_cpu() ? std::string(cpu_backend_name(cpu_backend()))
                         : c10::DeviceTypeName(device.type(), /*lower_case=*/true);
}

Precision parse_precision(std::string_view name, const at::Device& device) {
  const std::string resolved = name == "auto" ? native_precision(device) : std::string(name);
  if (resolved == "32-true") {
    return {resolved, at::kFloat, at::kFloat, false};
  }
  if (resolved == "bf16-mixed") {
    return {resolved, at::kFloat, at::kBFloat16, false};
  }
  if (resolved == "bf16-true") {
    return {resolved, at::kBFloat16, at::kBFloat16, false};
  }
  check(resolved == "16-mixed",
        "training.precision: '{}' is not one of auto, 32-true, bf16-mixed, bf16-true, 16-mixed",
        name);
  return {resolved, at::kFloat, at::kHalf, true};
}

void LossScale::update(bool finite) {
  if (!enabled) {
    return;
  }
  if (!finite) {
    value = std::max(1.0, value / 2);
    good_steps = 0;
  } else if (++good_steps >= growth_interval) {
    value = std::min(value * 2, 0x1.0p24);
    good_steps = 0;
  }
}

}  // namespace llm
