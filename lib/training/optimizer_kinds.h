// The optimizers behind make_optimizer, and what they share: ranges of the flat buffer with equal
// weight decay, and the naming of stored state.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "training/optimizer.h"

namespace llm {

/// A stretch of the flat buffer whose parameters have one weight decay.
struct FlatRange {
  int64_t offset = 0;
  int64_t length = 0;
  double weight_decay = 0;
};
std::vector<FlatRange> decay_ranges(const OptimizerConfig& config,
                                    const std::vector<ParameterSlice>& slices);

/// A state of as many zeros as there are gradients: fp32, also where those are bf16, in which a
/// second moment would never decay.
at::Tensor zero_state(const at::Tensor& gradients);

/// The gradient as updates are computed with it: scaled, fp32. Changes the gradient where that is
/// fp32 already.
at::Tensor scaled_gradient(const at::Tensor& gradient, double scale);

/// Adds "kind/parameter" views of a flat state buffer.
void append_state(std::vector<OptimizerTensor>& out, const std::string& kind,
                  const at::Tensor& flat, const std::vector<ParameterSlice>& slices);

/// Calls visit(offset, length, weight_decay) on pieces small enough to stay in cache between the
/// operators of one update.
template <typename Visit>
void for_each_piece(const std::vector<FlatRange>& ranges, Visit visit) {
  constexpr int64_t kPiece = int64_t{1} << 16;
  for (const FlatRange& range : ranges) {
    for (int64_t done = 0; done < range.length; done += kPiece) {
      visit(range.offset + done, std::min(kPiece, range.length - done), range.weight_decay);
    }
  }
}

std::unique_ptr<Optimizer> make_adamw(const OptimizerConfig& config, FlatParameters parameters);
std::unique_ptr<Optimizer> make_lion(const OptimizerConfig& config, FlatParameters parameters);
std::unique_ptr<Optimizer> make_sgd(const OptimizerConfig& config, FlatParameters parameters);
std::unique_ptr<Optimizer> make_adafactor(const OptimizerConfig& config, FlatParameters parameters);
std::unique_ptr<Optimizer> make_muon(const OptimizerConfig& config, FlatParameters parameters);

}  // namespace llm
