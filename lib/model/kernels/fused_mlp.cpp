#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>

#include "base/error.h"
#include "model/kernels/fused.h"
#include "model/kernels/fused_rows.h"

namespace llm::fused {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Swiglu : torch::autograd::Function<Swiglu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    auto shape = gate_up.sizes().vec();
    shape.back() /= 2;
    at::Tensor y = at::empty(shape, gate_up.options());
    const int64_t columns = shape.back(), count = columns == 0 ? 0 : y.numel() / columns;
    with_element(y.scalar_type(), [&](auto* tag) {
      using T = std::remove_pointer_t<decltype(tag)>;
      for_each_piece(count, 16, [&](int64_t, int64_t begin, int64_t end) {
        rows::swiglu(raw<T>(gate_up) + begin * 2 * columns, raw<T>(y) + begin * columns,
                     end - begin, columns);
      });
    });
    ctx->saved_data["gate_up"] = gate_up.detach();
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const at::Tensor gate_up = ctx->saved_data["gate_up"].toTensor();
    at::Tensor dy = gradients[0].contiguous();
    at::Tensor out = at::empty_like(gate_up);
    const int64_t columns = dy.size(-1), count = columns == 0 ? 0 : dy.numel() / columns;
    with_element(dy.scalar_type(), [&](auto* tag) {
      using T = std::remove_pointer_t<decltype(tag)>;
      for_each_piece(count, 16, [&](int64_t, int64_t begin, int64_t end) {
        rows::swiglu_backward(raw<T>(gate_up) + begin * 2 * columns, raw<T>(dy) + begin * columns,
                              raw<T>(out) + begin * 2 * columns, end - begin, columns);
      });
    });
    return {out};
  }
};

// The gradient of a table: every thread owns a slice of the channels and walks all tokens in order,
// so the sum's order never changes.
void scatter_add(at::Tensor table, const at::Tensor& ids, const at::Tensor& dy) {
  const int64_t channels = table.size(1), count = ids.numel();
  const int64_t* id = ids.data_ptr<int64_t>();
  float* out = table.data_ptr<float>();
  const float* in = dy.data_ptr<float>();
  constexpr int64_t kSlice = 64;
  at::parallel_for(0, (channels + kSlice - 1) / kSlice, 1, [&](int64_t first, int64_t last) {
    const int64_t begin = first * kSlice, width = std::min(channels, last * kSlice) - begin;
    for (int64_t n = 0; n < count; ++n) {
      rows::add(out + id[n] * channels + begin, in + n * channels + begin, width);
    }
  });
}

struct Embedding : torch::autograd::Function<Embedding> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& ids, const at::Tensor& table) {
    const int64_t channels = table.size(1), count = ids.numel(), vocab = table.size(0);
    auto shape = ids.sizes().vec();
    shape.push_back(channels);
    at::Tensor y = at::empty(shape, table.options().requires_grad(false));
    const int64_t* id = ids.data_ptr<int64_t>();
    for (int64_t n = 0; n < count; ++n) {
      check(id[n] >= 0 && id[n] < vocab, "embedding: token id {} is outside 0 to {}", id[n],
            vocab - 1);
    }
    for_each_piece(count, 64, [&](int64_t, int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        std::memcpy(raw<float>(y) + n * channels, raw<float>(table) + id[n] * channels,
                    sizeof(float) * channels);
      }
    });
    ctx->saved_data["ids"] = ids;
    ctx->saved_data["table"] = table;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const at::Tensor table = ctx->saved_data["table"].toTensor(),
                     ids = ctx->saved_data["ids"].toTensor();
    if (!table.requires_grad()) {
      return {at::Tensor(), at::Tensor()};
    }
    at::Tensor dy = gradients[0].to(at::kFloat).contiguous();
    if (table.is_leaf()) {
      at::Tensor& total = table.mutable_grad();
      if (!total.defined()) {
        total = at::zeros_like(table);
      }
      scatter_add(total, ids, dy);
      return {at::Tensor(), at::Tensor()};
    }
    at::Tensor dense = at::zeros_like(table);
    scatter_add(dense, ids, dy);
    return {at::Tensor(), dense};
  }
};

}  // namespace

at::Tensor swiglu(const at::Tensor& gate_up) { return Swiglu::apply(gate_up.contiguous()); }

at::Tensor embedding(const at::Tensor& ids, const at::Tensor& table) {
  return Embedding::apply(ids.contiguous(), table);
}

}  // namespace llm::fused
