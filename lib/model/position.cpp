#include "model/position.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

namespace llm {

RopeTable rope_table(const at::Tensor& positions, const at::Tensor& inverse_frequencies,
                     double attention_factor) {
  at::Tensor angles = positions.to(at::kFloat).unsqueeze(-1) * inverse_frequencies;  // (..., D/2)
  RopeTable table{at::cos(angles), at::sin(angles)};
  if (attention_factor != 1.0) {
    table.cos.mul_(attention_factor);
    table.sin.mul_(attention_factor);
  }
  return table;
}

std::vector<double> alibi_slopes(int64_t num_heads) {
  int64_t power = 1;
  while (power * 2 <= num_heads) {
    power *= 2;
  }
  std::vector<double> slopes;
  for (int64_t i = 1; i <= power; ++i) {
    slopes.push_back(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(power)));
  }
  for (int64_t i = 1; static_cast<int64_t>(slopes.size()) < num_heads; i += 2) {
    slopes.push_back(std::exp2(-4.0 * static_cast<double>(i) / static_cast<double>(power)));
  }
  return slopes;
}

at::Tensor sinusoidal_embedding(const at::Tensor& positions, int64_t hidden_size,
                                at::ScalarType dtype) {
  const int64_t pairs = (hidden_size + 1) / 2;
  at::Tensor speeds = at::exp(at::arange(pairs, positions.options().dtype(at::kDouble)) *
                              (-2.0 * std::log(10000.0) / static_cast<double>(hidden_size)));
  at::Tensor angles = positions.to(at::kDouble).unsqueeze(-1) * speeds;  // (..., C/2)
  at::Tensor table =
      at::stack({at::sin(angles), at::cos(angles)}, -1).flatten(-2);  // (..., C or C + 1)
  return table.narrow(-1, 0, hidden_size).to(dtype);                  // (..., C)
}

}  // namespace llm
