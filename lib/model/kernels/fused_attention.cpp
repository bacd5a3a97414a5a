#include <ATen/ATen.h>

#include "model/kernels/fused.h"
#include "model/kernels/reference.h"

namespace llm::fused {

at::Tensor self_attention(const at::Tensor& qkv, const at::Tensor& cos, const at::Tensor& sin, int64_t num_heads, int64_t num_key_value_heads, bool causal,
                          double scale) {
  return reference::self_attention(qkv, cos, sin, num_heads, num_key_value_heads, causal, scale);
}

}  // namespace llm::fused
