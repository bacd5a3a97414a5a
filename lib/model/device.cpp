#include "model/device.h"

#include <ATen/Context.h>

#include "base/device.h"
#include "base/error.h"

namespace llm {

int cuda_device_count() {
  return at::globalContext().hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount())
                                       : 0;
}

at::Device resolve_device(std::string_view choice) {
  const DeviceChoice resolved = resolve_device(parse_device(choice), cuda_device_count());
  return resolved.kind == DeviceKind::cuda
             ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(resolved.index))
             : at::Device(at::kCPU);
}

at::ScalarType parse_dtype(std::string_view name) {
  if (name == "float32" || name == "f32" || name == "fp32") {
    return at::kFloat;
  }
  if (name == "bfloat16" || name == "bf16") {
    return at::kBFloat16;
  }
  if (name == "float16" || name == "f16" || name == "fp16") {
    return at::kHalf;
  }
  fail(Exit::usage,
       fmt::format("--dtype: '{}' is not supported; choose float32, bfloat16, float16", name));
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kBFloat16:
      return "bfloat16";
    case at::kHalf:
      return "float16";
    case at::kDouble:
      return "float64";
    default:
      return c10::toString(dtype);
  }
}

}  // namespace llm
