#include "model/kv_cache.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"

namespace llm {

void SeenTokens::add(int64_t tokens, const at::Tensor& new_mask, const at::Tensor& new_positions) {
  const int64_t before = length;
  const bool padded = new_mask.defined() && !new_mask.all().item<bool>();
  if (padded || mask.defined()) {
    const int64_t rows = (new_mask.defined() ? new_mask : mask).size(0);
    const auto real = (new_mask.defined() ? new_mask : mask).options().dtype(at::kBool);
    at::Tensor earlier = mask.defined() ? mask : at::ones({rows, before}, real);
    mask = at::cat(
        {earlier, new_mask.defined() ? new_mask.to(at::kBool) : at::ones({rows, tokens}, real)},
        1);  // (B, length + T)
  }
  length = before + tokens;
  at::Tensor added = new_positions;
  if (!added.defined() && mask.defined()) {
    // Padding repeats the count before it; nothing sees it.
    added = at::cumsum(mask.to(at::kLong), 1)
                .sub_(1)
                .clamp_min_(0)
                .narrow(1, before, tokens);  // (B, T)
  } else if (!added.defined() && positions.defined()) {
    added = positions.narrow(1, before - 1, 1) +
            at::arange(1, tokens + 1, positions.options()).unsqueeze(0);  // (B, T)
  }
  if (added.defined()) {
    at::Tensor earlier =
        positions.defined() ? positions : at::arange(before, added.options()).unsqueeze(0);
    positions = at::cat({earlier.expand({added.size(0), before}), added}, 1);  // (B, length + T)
  }
}

void SeenTokens::cut(int64_t tokens) {
  length = tokens;
  mask = mask.defined() ? mask.narrow(1, 0, tokens) : mask;
  positions = positions.defined() ? positions.narrow(1, 0, tokens) : positions;
  if (tokens == 0) {
    mask = positions = at::Tensor();
  }
}

KvCache::KvCache(const ModelConfig& config, int64_t capacity_tokens)
    : layers_(static_cast<size_t>(config.num_hidden_layers)),
      capacity_(std::max<int64_t>(capacity_tokens, 0)) {}

int64_t KvCache::batch_size() const {
  return layers_.front().k.defined() ? layers_.front().k.size(0) : 0;
}

int64_t KvCache::bytes() const {
  int64_t total = 0;
  for (const Layer& layer : layers_) {
    total += layer.k.defined() ? 2 * static_cast<int64_t>(layer.k.nbytes()) : 0;
  }
  return total;
}

bool KvCache::reaches_beyond(int64_t tokens) {
  if (!reaches_beyond_) {
    reaches_beyond_ = std::max(capacity_, seen_.length) > tokens;
  }
  return *reaches_beyond_;
}

void KvCache::truncate(int64_t length) {
  check(length >= 0 && length <= length_, "kv cache: cannot cut to {} tokens, it holds {}", length,
        length_);
  length_ = length;
  if (length == 0) {
    reaches_beyond_.reset();
  }
  seen_.cut(length);
}

KvCache KvCache::clone() const {
  KvCache copy = *this;
  for (Layer& layer : copy.layers_) {
    if (!layer.k.defined()) continue;
    layer.k = layer.k.clone();
    layer.v = layer.v.clone();
  }
  return copy;
}

void KvCache::select_rows(const at::Tensor& rows) {
  for (Layer& layer : layers_) {
    if (layer.k.defined()) {
      layer.k = layer.k.index_select(0, rows);
      layer.v = layer.v.index_select(0, rows);
    }
  }
  seen_.mask = seen_.mask.defined() ? seen_.mask.index_select(0, rows) : seen_.mask;
  seen_.positions = seen_.positions.defined() && seen_.positions.size(0) > 1
                        ? seen_.positions.index_select(0, rows)
                        : seen_.positions;
}

void KvCache::begin(int64_t tokens, const at::Tensor& mask, const at::Tensor& positions) {
  seen_.cut(length_);  // a pass that threw may have left announced tokens behind
  seen_.add(tokens, mask, positions);
}

void KvCache::grow(int64_t tokens, const at::Tensor& like) {
  if (tokens > capacity_) {
    capacity_ = std::max(tokens, std::max<int64_t>(2 * capacity_, 64));
  }
  for (Layer& layer : layers_) {
    if (layer.k.defined() && layer.k.size(2) >= tokens) {
      continue;
    }
    for (at::Tensor* held : {&layer.k, &layer.v}) {
      at::Tensor wider = at::empty({like.size(0), like.size(1), capacity_, like.size(3)},
                                   like.options().requires_grad(false));
      if (held->defined()) {
        wider.narrow(2, 0, length_).copy_(held->narrow(2, 0, length_));
      }
      *held = std::move(wider);
    }
  }
}

std::pair<at::Tensor, at::Tensor> KvCache::update(int64_t layer, const at::Tensor& k,
                                                  const at::Tensor& v) {
  const int64_t total = length_ + k.size(2);
  check(batch_size() == 0 || batch_size() == k.size(0), "kv cache: holds {} rows, was given {}",
        batch_size(), k.size(0));
  if (layer == 0) {
    grow(total, k);
  }
  Layer& held = layers_.at(static_cast<size_t>(layer));
  held.k.narrow(2, length_, k.size(2)).copy_(k.detach());
  held.v.narrow(2, length_, v.size(2)).copy_(v.detach());
  return {held.k.narrow(2, 0, total), held.v.narrow(2, 0, total)};
}

void KvCache::commit() { length_ = seen_.length; }

}  // namespace llm
