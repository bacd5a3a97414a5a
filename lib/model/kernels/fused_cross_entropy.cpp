#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "base/error.h"
#include "model/kernels/fused.h"
#include "model/kernels/fused_rows.h"

namespace llm::fused {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows per chunk: the chunk of logits stays near 8 MiB, so that it is still in cache when its
// gradient is multiplied.
int64_t chunk_of(int64_t rows, int64_t vocab, int64_t element_bytes) {
  const int64_t fitting = (int64_t{8} << 20) / (vocab * element_bytes) / 64 * 64;
  return std::clamp<int64_t>(fitting, std::min<int64_t>(rows, 64), rows);
}

struct Totals {
  double nll_sum = 0;
  int64_t correct = 0, counted = 0;
};

// Softmax, loss and (in place) gradient of one chunk of logits.
template <typename T>
void chunk_loss(at::Tensor& logits, const int64_t* targets, const float* weights, float scale,
                bool gradient, Totals& totals) {
  const int64_t count = logits.size(0), vocab = logits.size(1);
  std::vector<rows::RowLoss> losses(count);
  at::parallel_for(0, count, 8, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      T* row = raw<T>(logits) + r * vocab;
      if (targets[r] == kIgnoreTarget) {
        std::fill(row, row + vocab, T{0});
      } else {
        const float own_scale = weights == nullptr ? scale : scale * weights[r];
        losses[r] = rows::cross_entropy(row, vocab, targets[r], own_scale, gradient);
      }
    }
  });
  for (int64_t r = 0; r < count; ++r) {
    if (targets[r] != kIgnoreTarget) {
      totals.nll_sum += weights == nullptr ? losses[r].nll : losses[r].nll * weights[r];
      totals.correct += losses[r].correct ? 1 : 0;
      ++totals.counted;
    }
  }
}

struct LinearCrossEntropy : torch::autograd::Function<LinearCrossEntropy> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden,
                            const at::Tensor& master, const at::Tensor& used,
                            const at::Tensor& targets, const float* weights, double scale,
                            int64_t chunk_rows, Totals* totals, bool gradient) {
    at::Tensor rows = hidden.reshape({-1, hidden.size(-1)}).contiguous();
    const int64_t count = rows.size(0), vocab = used.size(0);
    const int64_t* goal = targets.data_ptr<int64_t>();
    for (int64_t n = 0; n < count; ++n) {
      check(goal[n] == kIgnoreTarget || (goal[n] >= 0 && goal[n] < vocab),
            "linear_cross_entropy: target {} is outside 0 to {}", goal[n], vocab - 1);
    }
    const int64_t chunk =
        chunk_rows > 0 ? std::min(chunk_rows, count) : chunk_of(count, vocab, used.element_size());
    at::Tensor buffer = at::empty({chunk, vocab}, used.options().requires_grad(false));
    at::Tensor d_rows = gradient ? at::empty_like(rows) : at::Tensor();
    at::Tensor d_weight;
    at::Tensor piece =
        gradient && master.requires_grad() && chunk < count ? at::empty_like(used) : at::Tensor();
    for (int64_t begin = 0; begin < count; begin += chunk) {
      const int64_t length = std::min(chunk, count - begin);
      at::Tensor input = rows.narrow(0, begin, length), logits = buffer.narrow(0, 0, length);
      at::mm_out(logits, input, used.t());
      with_element(used.scalar_type(), [&](auto* tag) {
        chunk_loss<std::remove_pointer_t<decltype(tag)>>(
            logits, goal + begin, weights == nullptr ? nullptr : weights + begin,
            static_cast<float>(scale), gradient, *totals);
      });
      if (!gradient) {
        continue;
      }
      at::Tensor d_input = d_rows.narrow(0, begin, length);
      at::mm_out(d_input, logits, used);
      if (master.requires_grad()) {
        add_weight_gradient(d_weight, piece, logits, input, master);
      }
    }
    ctx->saved_data["d_rows"] = gradient ? d_rows.view(hidden.sizes()) : at::Tensor();
    ctx->saved_data["d_weight"] = d_weight;
    ctx->saved_data["master"] = master;
    return at::scalar_tensor(totals->nll_sum * scale, rows.options().dtype(at::kFloat));
  }

  static void add_weight_gradient(at::Tensor& d_weight, at::Tensor& piece,
                                  const at::Tensor& d_logits, const at::Tensor& input,
                                  const at::Tensor& master) {
    if (!piece.defined()) {  // one chunk holds all rows
      d_weight = at::mm(d_logits.t(), input);
      return;
    }
    at::mm_out(piece, d_logits.t(), input);
    if (!d_weight.defined()) {
      d_weight = at::zeros(master.sizes(), master.options().dtype(at::kFloat).requires_grad(false));
    }
    add_to(d_weight, piece);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    at::Tensor d_rows = ctx->saved_data["d_rows"].toTensor();
    at::Tensor d_weight = ctx->saved_data["d_weight"].toTensor();
    const at::Tensor master = ctx->saved_data["master"].toTensor();
    const float factor = gradients[0].item<float>();
    if (factor != 1.0f) {
      d_rows.mul_(factor);
      if (d_weight.defined()) {
        d_weight.mul_(factor);
      }
    }
    variable_list out(9);
    out[0] = d_rows;
    if (d_weight.defined() && master.is_leaf()) {
      accumulate_gradient(master, d_weight);
    } else if (d_weight.defined()) {
      out[1] = d_weight.to(master.scalar_type());
    }
    return out;
  }
};

}  // namespace

CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const Weight& weight,
                                  const at::Tensor& targets, double scale,
                                  const at::Tensor& row_weights, int64_t chunk_rows) {
  Totals totals;
  at::Tensor input = hidden.scalar_type() == weight.used().scalar_type()
                         ? hidden
                         : hidden.to(weight.used().scalar_type());
  const bool gradient =
      at::GradMode::is_enabled() && (hidden.requires_grad() || weight.master.requires_grad());
  const at::Tensor weights =
      row_weights.defined() ? row_weights.reshape({-1}).to(at::kFloat).contiguous() : at::Tensor();
  CrossEntropy result;
  result.loss = LinearCrossEntropy::apply(
      input, weight.master, weight.used().detach(), targets.reshape({-1}).contiguous(),
      raw<const float>(weights), scale, chunk_rows, &totals, gradient);
  result.nll_sum = totals.nll_sum;
  result.correct = totals.correct;
  result.counted = totals.counted;
  return result;
}

}  // namespace llm::fused
