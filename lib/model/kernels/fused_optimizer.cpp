#include <ATen/ATen.h>

#include <cmath>

#include "model/kernels/fused.h"
#include "model/kernels/fused_rows.h"

namespace llm::fused {

constexpr int64_t kPiece =
    1 << 16;  // elements; fixed, so that sums do not depend on the thread count

double sum_of_squares(const at::Tensor& flat) {
  const int64_t count = flat.numel(), pieces = (count + kPiece - 1) / kPiece;
  std::vector<double> partial(pieces);
  with_element(flat.scalar_type(), [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    at::parallel_for(0, pieces, 1, [&](int64_t first, int64_t last) {
      for (int64_t piece = first; piece < last; ++piece) {
        const int64_t begin = piece * kPiece;
        partial[piece] =
            rows::sum_of_squares(raw<T>(flat) + begin, std::min(kPiece, count - begin));
      }
    });
  });
  double sum = 0;
  for (double value : partial) {
    sum += value;
  }
  return sum;
}

void adamw_step(at::Tensor parameter, at::Tensor gradient, at::Tensor exp_avg,
                at::Tensor exp_avg_sq, at::Tensor compute, const AdamwStep& o) {
  const double correction1 = 1.0 - std::pow(o.beta1, static_cast<double>(o.step));
  const double correction2 = 1.0 - std::pow(o.beta2, static_cast<double>(o.step));
  const rows::Adamw options{static_cast<float>(o.learning_rate),
                            static_cast<float>(o.beta1),
                            static_cast<float>(o.beta2),
                            static_cast<float>(o.epsilon),
                            static_cast<float>(1.0 - o.learning_rate * o.weight_decay),
                            static_cast<float>(o.learning_rate / correction1),
                            static_cast<float>(1.0 / std::sqrt(correction2)),
                            static_cast<float>(o.gradient_scale),
                            o.clear_gradient};
  const int64_t count = parameter.numel();
  at::parallel_for(0, (count + kPiece - 1) / kPiece, 1, [&](int64_t first, int64_t last) {
    const int64_t begin = first * kPiece, length = std::min(count, last * kPiece) - begin;
    rows::adamw(raw<float>(parameter) + begin, raw<float>(gradient) + begin,
                raw<float>(exp_avg) + begin, raw<float>(exp_avg_sq) + begin,
                compute.defined() ? raw<rows::bfloat>(compute) + begin : nullptr, length, options);
  });
}

}  // namespace llm::fused
