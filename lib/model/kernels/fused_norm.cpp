#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "model/kernels/fused.h"
#include "model/kernels/fused_rows.h"
#include "model/kernels/reference.h"

namespace llm::fused {
namespace {

using rows::bfloat;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kGrain = 32;  // rows

// The combinations that rows.h holds: (fp32 stream; any delta and output), or everything bf16.
bool supported(at::ScalarType x, at::ScalarType delta, at::ScalarType y) {
  const bool known =
      (delta == at::kFloat || delta == at::kBFloat16) && (y == at::kFloat || y == at::kBFloat16);
  return known &&
         (x == at::kFloat || (x == at::kBFloat16 && delta == at::kBFloat16 && y == at::kBFloat16));
}

template <typename Body>
void with_types(at::ScalarType x, at::ScalarType delta, at::ScalarType y, Body body) {
  float* f = nullptr;
  bfloat* b = nullptr;
  if (x == at::kBFloat16) {
    body(b, b, b);
  } else if (delta == at::kFloat) {
    y == at::kFloat ? body(f, f, f) : body(f, f, b);
  } else {
    y == at::kFloat ? body(f, b, f) : body(f, b, b);
  }
}

struct AddRmsNorm : torch::autograd::Function<AddRmsNorm> {
  // delta undefined: a plain norm, whose sum is x itself.
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x,
                               const std::optional<at::Tensor>& added, const at::Tensor& weight,
                               double eps, int64_t out_type) {
    const at::Tensor delta = added.value_or(at::Tensor());
    const auto y_type = static_cast<at::ScalarType>(out_type);
    const int64_t columns = x.size(-1), count = x.numel() / columns;
    const auto delta_type = delta.defined()
                                ? delta.scalar_type()
                                : (x.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat);
    at::Tensor y = at::empty(x.sizes(), x.options().dtype(y_type));
    at::Tensor sum = delta.defined() ? at::empty_like(x) : x;
    at::Tensor inverse = at::empty({count}, x.options().dtype(at::kFloat));
    at::Tensor scale = weight.to(at::kFloat).contiguous();
    with_types(x.scalar_type(), delta_type, y_type, [&](auto* xt, auto* dt, auto* yt) {
      using X = std::remove_pointer_t<decltype(xt)>;
      using D = std::remove_pointer_t<decltype(dt)>;
      using Y = std::remove_pointer_t<decltype(yt)>;
      for_each_piece(count, kGrain, [&](int64_t, int64_t begin, int64_t end) {
        const int64_t at = begin * columns;
        rows::rms_norm(raw<X>(x) + at, delta.defined() ? raw<D>(delta) + at : nullptr,
                       raw<float>(scale), raw<X>(sum) + at, raw<Y>(y) + at,
                       raw<float>(inverse) + begin, end - begin, columns, static_cast<float>(eps));
      });
    });
    ctx->set_materialize_grads(false);
    ctx->saved_data["sum"] = sum.detach();
    ctx->saved_data["inverse"] = inverse;
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["weight"] = weight;
    ctx->saved_data["has_delta"] = delta.defined();
    ctx->saved_data["delta_type"] = static_cast<int64_t>(delta_type);
    return delta.defined() ? variable_list{sum, y} : variable_list{y};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const at::Tensor sum = ctx->saved_data["sum"].toTensor(),
                     inverse = ctx->saved_data["inverse"].toTensor();
    const at::Tensor scale = ctx->saved_data["scale"].toTensor(),
                     weight = ctx->saved_data["weight"].toTensor();
    const bool has_delta = ctx->saved_data["has_delta"].toBool();
    const auto delta_type = static_cast<at::ScalarType>(ctx->saved_data["delta_type"].toInt());
    const int64_t columns = sum.size(-1), count = sum.numel() / columns;
    at::Tensor dy = gradients.back();
    at::Tensor d_sum = has_delta ? gradients[0] : at::Tensor();
    if (!dy.defined()) {
      at::Tensor low = d_sum.defined() && has_delta ? d_sum.to(delta_type) : at::Tensor();
      return {d_sum, low, at::Tensor(), at::Tensor(), at::Tensor()};
    }
    dy = dy.contiguous();
    if (d_sum.defined()) {
      d_sum = d_sum.contiguous();
    }
    at::Tensor dx = at::empty_like(sum);
    const bool separate = has_delta && delta_type != sum.scalar_type();
    at::Tensor dx_low =
        separate ? at::empty(sum.sizes(), sum.options().dtype(delta_type)) : at::Tensor();
    at::Tensor partial = at::zeros({piece_count(count, kGrain), columns}, scale.options());
    with_types(sum.scalar_type(), delta_type, dy.scalar_type(), [&](auto* xt, auto* dt, auto* yt) {
      using X = std::remove_pointer_t<decltype(xt)>;
      using D = std::remove_pointer_t<decltype(dt)>;
      using Y = std::remove_pointer_t<decltype(yt)>;
      for_each_piece(count, kGrain, [&](int64_t piece, int64_t begin, int64_t end) {
        const int64_t at = begin * columns;
        rows::rms_norm_backward(raw<X>(sum) + at, raw<float>(inverse) + begin, raw<float>(scale),
                                raw<Y>(dy) + at, d_sum.defined() ? raw<X>(d_sum) + at : nullptr,
                                raw<X>(dx) + at, separate ? raw<D>(dx_low) + at : nullptr,
                                raw<float>(partial) + piece * columns, end - begin, columns);
      });
    });
    at::Tensor dw = partial.sum(0);
    at::Tensor through_graph;
    if (weight.requires_grad()) {
      if (weight.is_leaf()) {
        accumulate_gradient(weight, dw);
      } else {
        through_graph = dw.to(weight.scalar_type());
      }
    }
    return {dx, has_delta ? (separate ? dx_low : dx) : at::Tensor(), through_graph, at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps,
                    at::ScalarType out_dtype) {
  if (!supported(x.scalar_type(), x.scalar_type(), out_dtype)) {
    return reference::rms_norm(x, weight, eps, out_dtype);
  }
  return AddRmsNorm::apply(x.contiguous(), std::optional<at::Tensor>(), weight, eps,
                           static_cast<int64_t>(out_dtype))[0];
}

std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& residual, const at::Tensor& delta,
                                                const at::Tensor& weight, double eps,
                                                at::ScalarType out_dtype) {
  check(residual.sizes() == delta.sizes(), "add_rms_norm: residual and delta differ in shape");
  if (!supported(residual.scalar_type(), delta.scalar_type(), out_dtype)) {
    at::Tensor sum = residual + delta.to(residual.scalar_type());
    return {sum, reference::rms_norm(sum, weight, eps, out_dtype)};
  }
  auto out = AddRmsNorm::apply(residual.contiguous(), std::optional<at::Tensor>(delta.contiguous()),
                               weight, eps, static_cast<int64_t>(out_dtype));
  return {out[0], out[1]};
}

}  // namespace llm::fused
