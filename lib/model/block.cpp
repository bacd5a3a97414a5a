#include "model/block.h"

#include <ATen/ATen.h>

#include "model/checkpointing.h"
#include "model/kernels/reference.h"

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

at::Tensor attend(const at::Tensor& qkv, int64_t layer, const PassContext& pass) {
  const ModelConfig& c = pass.config;
  const int64_t B = qkv.size(0), T = qkv.size(1), H = c.num_attention_heads,
                K = c.key_value_heads(), D = c.head_size();
  const bool fused = c.attention_type == "flash2";
  KvCache* cache = pass.options.cache;
  if (fused && !cache && !pass.bias.defined() && pass.attention_dropout == 0) {
    return self_attention(qkv, pass.rope.cos, pass.rope.sin, H, K, pass.causal_kernel,
                          pass.scale);  // (B, T, H * D)
  }
  at::Tensor heads = qkv.view({B, T, H + 2 * K, D});  // (B, T, H + 2 K, D)
  at::Tensor q = heads.narrow(2, 0, H), k = heads.narrow(2, H, K), v = heads.narrow(2, H + K, K);
  if (pass.rope.cos.defined()) {
    q = rope(q, pass.rope.cos, pass.rope.sin);
    k = rope(k, pass.rope.cos, pass.rope.sin);
  }
  q = q.transpose(1, 2), k = k.transpose(1, 2), v = v.transpose(1, 2);  // (B, H or K, T, D)
  if (cache) {
    std::tie(k, v) = cache->update(layer, k, v);  // (B, K, length + T, D)
  }
  const DropoutKey key = pass.options.dropout.at_site(site_of(layer, attention_weights));
  at::Tensor out = fused ? attention(q, k, v, pass.bias, pass.causal_kernel, pass.scale,
                                     pass.attention_dropout, key)
                         : reference::attention(q, k, v, pass.bias, pass.causal_kernel, pass.scale,
                                                pass.attention_dropout, key);
  return out.transpose(1, 2).reshape({B, T, H * D});  // (B, T, H * D)
}

at::Tensor run_attention(const Attention& attention, const at::Tensor& x, int64_t layer,
                         const PassContext& pass) {
  return drop(attention.o_proj(attend(attention.qkv_proj(x), layer, pass)), pass,
              site_of(layer, attention_output));
}

at::Tensor run_mlp(const Mlp& mlp, const at::Tensor& x, int64_t layer, const PassContext& pass) {
  const std::string& type = pass.config.ffn_type;
  at::Tensor inner = mlp.gate_up_proj(x);  // (B, T, 2 F) or (B, T, F)
  if (pass.config.gated_ffn()) {
    inner = gated_activation(inner,
                             type == "swiglu" ? Activation::silu : Activation::gelu);  // (B, T, F)
  } else {
    inner = activation(inner, type == "gelu"   ? Activation::gelu
                              : type == "relu" ? Activation::relu
                                               : Activation::silu);
  }
  return drop(mlp.down_proj(inner), pass, site_of(layer, mlp_output));
}

at::Tensor sum_of(const at::Tensor& residual, const at::Tensor& delta) {
  return residual + delta.to(residual.scalar_type());
}

Stream run_pre_norm(const Block& block, int64_t layer, const Stream& in, const PassContext& pass) {
  auto [residual, x] = add_and_norm(in, block.input_layernorm, pass.compute_dtype);
  at::Tensor attended = run_attention(block.self_attn, x, layer, pass);
  if (pass.config.use_parallel_ffn) {
    return {sum_of(residual, attended), run_mlp(block.mlp, x, layer, pass)};
  }
  std::tie(residual, x) =
      add_and_norm({residual, attended}, block.post_attention_layernorm, pass.compute_dtype);
  return {residual, run_mlp(block.mlp, x, layer, pass)};
}

// norm(x + f(x)), as in the first Transformer; the stream between sublayers is normalised, so
// nothing waits to be added.
Stream run_post_norm(const Block& block, int64_t layer, const Stream& in, const PassContext& pass) {
  const auto stream_dtype = in.residual.scalar_type();
  at::Tensor x = in.residual.to(pass.compute_dtype);
  at::Tensor attended = run_attention(block.self_attn, x, layer, pass);
  if (pass.config.use_parallel_ffn) {
    at::Tensor sum = sum_of(sum_of(in.residual, attended), run_mlp(block.mlp, x, layer, pass));
    return {block.input_layernorm(sum, stream_dtype), {}};
  }
  at::Tensor middle = block.input_layernorm(sum_of(in.residual, attended), stream_dtype);
  at::Tensor sum = sum_of(middle, run_mlp(block.mlp, middle.to(pass.compute_dtype), layer, pass));
  return {block.post_attention_layernorm(sum, stream_dtype), {}};
}

}  // namespace

std::pair<at::Tensor, at::Tensor> add_and_norm(const Stream& stream, const Norm& norm,
                                               at::ScalarType out_dtype) {
  if (!stream.delta.defined()) {
    return {stream.residual, norm(stream.residual, out_dtype)};
  }
  if (norm.rms) {
    auto [sum, normed] =
        add_rms_norm(stream.residual, stream.delta, norm.weight, norm.eps, out_dtype);
    return {sum, normed};
  }
  at::Tensor sum = sum_of(stream.residual, stream.delta);
  return {sum, norm(sum, out_dtype)};
}

Stream run_block(const Block& block, int64_t layer, const Stream& in, const PassContext& pass) {
  return pass.config.norm_first ? run_pre_norm(block, layer, in, pass)
                                : run_post_norm(block, layer, in, pass);
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
