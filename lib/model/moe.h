// A mixture of experts: a router sends every token to its num_experts_per_tok best feed-forward
// parts and adds up what they give, weighted by the softmax of the router's scores
// (https://arxiv.org/abs/2101.03961, top-k as in https://arxiv.org/abs/2401.04088).
//
// Tokens are independent: which others share the batch changes nothing but roundings. With every
// expert chosen and equal scores the result is the mean of all experts. Shapes: N tokens, C
// hidden_size, E experts, k experts per token.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/block.h"

namespace llm {

struct Routing {
  at::Tensor experts;        // (N, k) int64, best first
  at::Tensor weights;        // (N, k) float32: softmax over all experts, of the chosen ones; with
                             // norm_topk_prob divided by their sum
  at::Tensor probabilities;  // (N, E) float32: the whole softmax
};
/// scores (N, E): what the router's product gives.
Routing route(const at::Tensor& scores, int64_t experts_per_token, bool normalise);

/// x (B, T, C) -> (B, T, C). While training with router_aux_loss_coef, the gradient of the
/// load-balance loss goes back along with the result's.
at::Tensor run_experts(const Moe& moe, const at::Tensor& x, const PassContext& pass);

/// E * sum over experts of (share of the choices that fell on it) * (mean probability): 1 where
/// both are even, up to E where one expert gets all. Differentiable in the probabilities.
at::Tensor load_balance_loss(const Routing& routing);

}  // namespace llm
