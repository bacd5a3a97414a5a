// Small models and inputs that the tests of this folder share.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "model/init.h"
#include "model/transformer.h"

namespace llm::test {

inline ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 37;
  config.hidden_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.intermediate_size = 48;
  config.max_position_embeddings = 64;
  config.initializer_range = 0.1;  // large enough that every part of the model shows in the logits
  return config;
}

inline std::unique_ptr<Transformer> small_model(const ModelConfig& config,
                                                at::ScalarType dtype = at::kFloat,
                                                uint64_t seed = 7) {
  auto model = std::make_unique<Transformer>(config, dtype);
  initialize(*model, seed);
  return model;
}

/// Token ids that differ from place to place; the same for the same arguments.
inline at::Tensor token_ids(int64_t rows, int64_t tokens, int64_t vocab_size, int64_t seed = 1) {
  at::Tensor ids = at::empty({rows, tokens}, at::kLong);
  auto values = ids.accessor<int64_t, 2>();
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t t = 0; t < tokens; ++t) {
      values[row][t] =
          (seed * 7919 + row * 104729 + t * 31 + t * t * 17 + row * t * 13) % vocab_size;
    }
  }
  return ids;
}

inline at::Tensor logits_of(const Transformer& model, const at::Tensor& ids,
                            const ForwardOptions& options = {}) {
  at::NoGradGuard no_grad;
  return model.logits(model.hidden_states(ids, options)).to(at::kDouble);
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && at::equal(a, b);
}

/// The message of the Error that `action` throws, with its exit code in front: "3: text"; "" if it
/// throws nothing.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return fmt::format("{}: {}", static_cast<int>(error.code()), error.message());
  }
  return "";
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "in: " << text << "\nwanted: " << part;
}

}  // namespace llm::test
