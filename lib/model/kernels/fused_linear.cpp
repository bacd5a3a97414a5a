#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "model/kernels/fused.h"
#include "model/kernels/fused_rows.h"

namespace llm::fused {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// A leaf takes its gradient directly; anything else gets it through the graph.
at::Tensor deliver(const at::Tensor& master, const at::Tensor& gradient) {
  if (!master.requires_grad()) {
    return {};
  }
  if (master.is_leaf()) {
    accumulate_gradient(master, gradient);
    return {};
  }
  return gradient.to(master.scalar_type());
}

struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& packed,
                            const std::optional<at::Tensor>& packed_bias, at::TensorList masters,
                            at::TensorList bias_masters) {
    at::Tensor rows = x.reshape({-1, x.size(-1)});  // (N, K)
    auto shape = x.sizes().vec();
    shape.back() = packed.size(0);
    at::Tensor y =
        packed_bias ? at::addmm(*packed_bias, rows, packed.t()) : at::mm(rows, packed.t());
    ctx->saved_data["packed"] = packed;
    ctx->saved_data["rows"] = rows;
    ctx->saved_data["masters"] = masters.vec();
    ctx->saved_data["biases"] = bias_masters.vec();
    ctx->saved_data["input_shape"] = x.sizes().vec();
    ctx->saved_data["needs_input"] = x.requires_grad();
    return y.view(shape);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const at::Tensor packed = ctx->saved_data["packed"].toTensor();
    const at::Tensor rows = ctx->saved_data["rows"].toTensor();
    const auto masters = ctx->saved_data["masters"].toTensorVector();
    const auto biases = ctx->saved_data["biases"].toTensorVector();
    at::Tensor dy = gradients[0].reshape({-1, packed.size(0)});  // (N, M)
    variable_list out(3);
    if (ctx->saved_data["needs_input"].toBool()) {
      out[0] = at::mm(dy, packed).view(ctx->saved_data["input_shape"].toIntVector());
    }
    bool wanted = false;
    for (const auto& master : masters) {
      wanted = wanted || master.requires_grad();
    }
    at::Tensor dw = wanted ? at::mm(dy.t(), rows) : at::Tensor();  // (M, K)
    int64_t row = 0;
    for (const auto& master : masters) {
      out.push_back(wanted ? deliver(master, dw.narrow(0, row, master.size(0))) : at::Tensor());
      row += master.size(0);
    }
    if (!biases.empty()) {
      at::Tensor db = dy.sum(0, /*keepdim=*/false, at::kFloat);
      int64_t at = 0;
      for (const auto& bias : biases) {
        out.push_back(deliver(bias, db.narrow(0, at, bias.size(0))));
        at += bias.size(0);
      }
    }
    return out;
  }
};

}  // namespace

void accumulate_gradient(const at::Tensor& master, const at::Tensor& gradient) {
  at::Tensor& total = master.mutable_grad();
  if (!total.defined()) {
    total = gradient.to(master.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
    return;
  }
  if (total.scalar_type() != at::kFloat || !total.is_contiguous() || !gradient.is_contiguous()) {
    total.add_(gradient);
    return;
  }
  add_to(total, gradient);
}

at::Tensor linear(const at::Tensor& x, const std::vector<at::Tensor>& masters,
                  const at::Tensor& packed, const std::vector<at::Tensor>& bias_masters,
                  const at::Tensor& packed_bias) {
  check(x.size(-1) == packed.size(1), "linear: input has {} features, weight takes {}", x.size(-1),
        packed.size(1));
  std::optional<at::Tensor> plain_bias;
  if (packed_bias.defined()) {
    plain_bias = packed_bias.detach();
  }
  return Linear::apply(x, packed.detach(), plain_bias, at::TensorList(masters),
                       at::TensorList(bias_masters));
}

}  // namespace llm::fused
