#include "model/block.h"

#include <ATen/ATen.h>

#include "model/checkpointing.h"
#include "model/kernels/reference.h"
#include "model/moe.h"

namespace llm {
namespace {

// Each dropout of the model draws from its own numbers.
enum DropoutSite : uint64_t { attention_weights, attention_output, mlp_output, sites_per_layer };

uint64_t site_of(int64_t layer, DropoutSite site) {
  return 1 + static_cast<uint64_t>(layer) * sites_per_layer + site;
}

at::Tensor drop(const at::Tensor& x, const PassContext& pass, uint64_t site) {
  return pass.dropout > 0 ? dropout(x, pass.dropout, pass.options.dropout.at_site(site)) : x;
}

// (B, T, (H + 2 K) * D) with its queries and keys normalised.
at::Tensor normalised(const Attention& attention, const at::Tensor& qkv, const ModelConfig& c) {
  const int64_t D = c.head_size(), q = c.num_attention_heads * D, kv = c.key_value_heads() * D;
  const auto norm_part = [&](const Norm& norm, int64_t begin, int64_t width) {
    const at::Tensor part = qkv.narrow(2, begin, width);
    const at::Tensor rows = *c.qk_norm == "full" ? part : part.unflatten(2, {width / D, D});
    return norm(rows, qkv.scalar_type()).reshape({qkv.size(0), qkv.size(1), width});
  };
  return at::cat({norm_part(attention.q_norm, 0, q), norm_part(attention.k_norm, q, kv),
                  qkv.narrow(2, q + kv, kv)},
                 2);
}

at::Tensor attend(const at::Tensor& qkv, int64_t layer, const PassContext& pass) {
  const ModelConfig& c = pass.config;
  const LayerPattern& pattern = pass.pattern_of(layer);
  const int64_t B = qkv.size(0), T = qkv.size(1), H = c.num_attention_heads,
                K = c.key_value_heads(), D = c.head_size();
  const bool fused = c.attention_type == "flash2";
  const double softcap = c.attn_logit_softcapping.value_or(0.0);
  KvCache* cache = pass.options.cache;
  const auto& look = pass.options.on_attention;
  if (pass.direct && !pattern.bias.defined()) {
    return self_attention(qkv, pattern.rope.cos, pattern.rope.sin, H, K, pattern.causal_kernel,
                          pass.scale, pattern.first_keys);  // (B, T, H * D)
  }
  at::Tensor heads = qkv.view({B, T, H + 2 * K, D});  // (B, T, H + 2 K, D)
  at::Tensor q = heads.narrow(2, 0, H), k = heads.narrow(2, H, K), v = heads.narrow(2, H + K, K);
  if (pattern.rope.cos.defined()) {
    q = rope(q, pattern.rope.cos, pattern.rope.sin);
    k = rope(k, pattern.rope.cos, pattern.rope.sin);
  }
  q = q.transpose(1, 2), k = k.transpose(1, 2), v = v.transpose(1, 2);  // (B, H or K, T, D)
  if (cache) {
    std::tie(k, v) = cache->update(layer, k, v);  // (B, K, length + T, D)
  }
  if (look) {
    look(layer, reference::attention_weights(q, k, pattern.bias, pattern.causal_kernel, pass.scale,
                                             softcap));
  }
  const DropoutKey key = pass.options.dropout.at_site(site_of(layer, attention_weights));
  const auto& explicit_scores = fused ? attention : reference::attention;
  at::Tensor out = explicit_scores(q, k, v, pattern.bias, pattern.causal_kernel, pass.scale,
                                   pass.attention_dropout, key, softcap);
  return out.transpose(1, 2).reshape({B, T, H * D});  // (B, T, H * D)
}

at::Tensor run_attention(const Block& block, const at::Tensor& x, int64_t layer,
                         const PassContext& pass) {
  const Attention& attention = block.self_attn;
  at::Tensor qkv = attention.qkv_proj(x);
  if (attention.q_norm.defined()) {
    qkv = normalised(attention, qkv, pass.config);
  }
  at::Tensor out =
      drop(attention.o_proj(attend(qkv, layer, pass)), pass, site_of(layer, attention_output));
  return block.attention_output_norm.defined() ? block.attention_output_norm(out, out.scalar_type())
                                               : out;
}

at::Tensor run_mlp(const Block& block, const at::Tensor& x, int64_t layer,
                   const PassContext& pass) {
  at::Tensor out = block.moe.experts.empty() ? feed_forward(block.mlp, x, pass.config)
                                             : run_experts(block.moe, x, pass);
  out = drop(out, pass, site_of(layer, mlp_output));
  return block.ffn_output_norm.defined() ? block.ffn_output_norm(out, out.scalar_type()) : out;
}

at::Tensor sum_of(const at::Tensor& residual, const at::Tensor& delta) {
  return residual + delta.to(residual.scalar_type());
}

// x + f(norm(x)), the input's norm or the output's (inside run_attention, run_mlp) left out where
// the config has none.
Stream run_pre_norm(const Block& block, int64_t layer, const Stream& in, const PassContext& pass) {
  auto [residual, x] = add_and_norm(in, block.attention_norm, pass.compute_dtype);
  at::Tensor attended = run_attention(block, x, layer, pass);
  if (pass.config.use_parallel_ffn) {
    at::Tensor y = block.ffn_norm.defined() ? block.ffn_norm(residual, pass.compute_dtype) : x;
    return {sum_of(residual, attended), run_mlp(block, y, layer, pass)};
  }
  std::tie(residual, x) = add_and_norm({residual, attended}, block.ffn_norm, pass.compute_dtype);
  return {residual, run_mlp(block, x, layer, pass)};
}

// norm(x + f(x)), as in the first Transformer; the stream between sublayers is normalised, so
// nothing waits to be added.
Stream run_post_norm(const Block& block, int64_t layer, const Stream& in, const PassContext& pass) {
  const auto stream_dtype = in.residual.scalar_type();
  at::Tensor x = in.residual.to(pass.compute_dtype);
  at::Tensor attended = run_attention(block, x, layer, pass);
  if (pass.config.use_parallel_ffn) {
    at::Tensor sum = sum_of(sum_of(in.residual, attended), run_mlp(block, x, layer, pass));
    return {block.attention_norm(sum, stream_dtype), {}};
  }
  at::Tensor middle = block.attention_norm(sum_of(in.residual, attended), stream_dtype);
  at::Tensor sum = sum_of(middle, run_mlp(block, middle.to(pass.compute_dtype), layer, pass));
  return {block.ffn_norm(sum, stream_dtype), {}};
}

}  // namespace

std::pair<at::Tensor, at::Tensor> add_and_norm(const Stream& stream, const Norm& norm,
                                               at::ScalarType out_dtype) {
  if (!norm.defined()) {
    at::Tensor sum =
        stream.delta.defined() ? sum_of(stream.residual, stream.delta) : stream.residual;
    return {sum, sum.to(out_dtype)};
  }
  if (!stream.delta.defined()) {
    return {stream.residual, norm(stream.residual, out_dtype)};
  }
  if (norm.rms) {
    auto [sum, normed] =
        add_rms_norm(stream.residual, stream.delta, norm.scale(), norm.eps, out_dtype);
    return {sum, normed};
  }
  at::Tensor sum = sum_of(stream.residual, stream.delta);
  return {sum, norm(sum, out_dtype)};
}

Stream run_block(const Block& block, int64_t layer, const Stream& in, const PassContext& pass) {
  const bool norms_sums = !pass.config.norm_first && !pass.config.sublayer_output_norm;
  return norms_sums ? run_post_norm(block, layer, in, pass) : run_pre_norm(block, layer, in, pass);
}

at::Tensor feed_forward(const Mlp& mlp, const at::Tensor& x, const ModelConfig& config) {
  const std::string& type = config.ffn_type;
  at::Tensor inner = mlp.gate_up_proj(x);  // (..., 2 F) or (..., F)
  const Activation act = type == "swiglu" || type == "silu"            ? Activation::silu
                         : type == "geglu_tanh" || type == "gelu_tanh" ? Activation::gelu_tanh
                         : type == "relu"                              ? Activation::relu
                                                                       : Activation::gelu;
  return mlp.down_proj(config.gated_ffn() ? gated_activation(inner, act) : activation(inner, act));
}

Stream run_checkpointed(const Block& block, int64_t layer, const Stream& in,
                        const PassContext& pass) {
  const auto segment = [&block, layer, pass](const TensorList& inputs) -> TensorList {
    const Stream out =
        run_block(block, layer, {inputs[0], inputs.size() > 1 ? inputs[1] : at::Tensor()}, pass);
    return out.delta.defined() ? TensorList{out.residual, out.delta} : TensorList{out.residual};
  };
  TensorList inputs = {in.residual};
  if (in.delta.defined()) {
    inputs.push_back(in.delta);
  }
  TensorList outputs = checkpointed(segment, inputs);
  return {outputs[0], outputs.size() > 1 ? outputs[1] : at::Tensor()};
}

}  // namespace llm
