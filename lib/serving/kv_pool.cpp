#include "serving/kv_pool.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace llm {

KvPool::KvPool(const KvShape& shape, const KvPoolOptions& options)
    : shape_(shape), options_(options), block_bytes_(shape.block_bytes()) {
  check(options.max_blocks >= 1, "kv pool: at least one block of {} tokens is needed, got {}",
        kKvBlockTokens, options.max_blocks);
  check(options.layout == "paged" || options.layout == "slab" || options.layout == "bmc",
        "kv layout '{}' is not known; choose paged, slab, bmc", options.layout);
  if (options.layout != "paged") return;
  memory_ = StreamBuffer(block_bytes_ * static_cast<size_t>(options.max_blocks));
  owners_.resize(static_cast<size_t>(options.max_blocks));
}

std::byte* KvPool::data(int32_t block) const {
  return memory_.data() + block_bytes_ * static_cast<size_t>(block);
}

std::optional<int32_t> KvPool::allocate() {
  int32_t block = fresh_;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
    std::memset(data(block), 0, block_bytes_);
  } else if (fresh_ < options_.max_blocks) {
    ++fresh_;
  } else {
    return std::nullopt;
  }
  owners_[static_cast<size_t>(block)] = 1;
  ++used_;
  return block;
}

void KvPool::share(int32_t block) {
  check(owners(block) > 0, "kv pool: block {} has no owner to share it", block);
  ++owners_[static_cast<size_t>(block)];
}

void KvPool::release(int32_t block) {
  if (block < 0) return;
  check(owners(block) > 0, "kv pool: block {} is freed twice", block);
  if (--owners_[static_cast<size_t>(block)] > 0) return;
  free_.push_back(block);
  --used_;
}

int64_t KvPool::blocks_to_hold(int64_t held, int64_t tokens) const {
  if (options_.layout == "slab")
    return held > 0 ? 0 : kv_blocks_for(std::max(options_.slab_tokens, tokens));
  return kv_blocks_for(tokens) - kv_blocks_for(held);
}

/// Blocks by which a bmc stretch grows.
int64_t KvPool::bmc_segment(int64_t capacity) const {
  const int64_t bound = options_.slab_tokens > 0 ? options_.slab_tokens : capacity;
  return std::max<int64_t>(1, kv_blocks_for(std::llround(std::sqrt(static_cast<double>(bound)))));
}

int64_t KvPool::most_blocks(int64_t tokens, int64_t sequences) const {
  if (options_.layout == "slab")
    return kv_blocks_for(std::max(options_.slab_tokens, tokens)) * sequences;
  const int64_t wanted = kv_blocks_for(tokens);
  if (options_.layout == "paged") return (wanted + (sequences > 1 ? 1 : 0)) * sequences;
  const int64_t segment = bmc_segment(tokens);
  const int64_t grown = (wanted + segment - 1) / segment * segment;
  return grown * sequences + grown - segment;
}

std::optional<StreamBuffer> KvPool::take_stretch(int64_t blocks) {
  if (blocks > free_blocks()) return std::nullopt;
  used_ += blocks;
  const size_t bytes = block_bytes_ * static_cast<size_t>(blocks);
  const auto fits = std::find_if(slabs_.rbegin(), slabs_.rend(),
                                 [&](const StreamBuffer& slab) { return slab.size() == bytes; });
  if (fits == slabs_.rend()) return StreamBuffer(bytes);
  StreamBuffer slab = std::move(*fits);
  slabs_.erase(std::next(fits).base());
  std::memset(slab.data(), 0, bytes);
  return slab;
}

void KvPool::return_stretch(StreamBuffer stretch, int64_t blocks) {
  used_ -= blocks;
  if (options_.layout == "slab" && stretch.size() > 0) slabs_.push_back(std::move(stretch));
}

KvBlocks::KvBlocks(std::shared_ptr<KvPool> pool, int64_t capacity, std::span<const int32_t> shared)
    : pool_(std::move(pool)), capacity_(std::max<int64_t>(capacity, 1)) {
  check(shared.empty() || pool_->options().layout == "paged",
        "kv pool: only paged blocks can be shared");
  for (const int32_t block : shared) {
    pool_->share(block);
    ids_.push_back(block);
    blocks_.push_back(pool_->data(block));
  }
}

KvBlocks::~KvBlocks() {
  for (const int32_t block : ids_) pool_->release(block);
  if (stretch_blocks_ > 0) pool_->return_stretch(std::move(stretch_), stretch_blocks_);
}

bool KvBlocks::reserve(int64_t first_written, int64_t tokens) {
  if (pool_->options().layout == "paged") return reserve_paged(first_written, tokens);
  const int64_t wanted = kv_blocks_for(tokens);
  if (wanted <= stretch_blocks_) return true;
  if (pool_->options().layout == "slab") {
    const int64_t slab = pool_->options().slab_tokens;
    const int64_t whole = kv_blocks_for(slab > 0 ? slab : capacity_);
    check(wanted <= whole, "kv pool: {} tokens are more than a slab of {}", tokens,
          whole * kKvBlockTokens);
    return grow_stretch(whole);
  }
  const int64_t segment = pool_->bmc_segment(capacity_);
  return grow_stretch((wanted + segment - 1) / segment * segment);
}

bool KvBlocks::grow_stretch(int64_t blocks) {
  std::optional<StreamBuffer> larger = pool_->take_stretch(blocks);
  if (!larger) return false;
  if (stretch_blocks_ > 0) {
    std::memcpy(larger->data(), stretch_.data(), stretch_.size());
    ++pool_->copies_;
    pool_->return_stretch(std::move(stretch_), stretch_blocks_);
  }
  stretch_ = std::move(*larger);
  stretch_blocks_ = blocks;
  blocks_.clear();
  for (int64_t i = 0; i < blocks; ++i)
    blocks_.push_back(stretch_.data() + pool_->block_bytes_ * static_cast<size_t>(i));
  return true;
}

bool KvBlocks::reserve_paged(int64_t first_written, int64_t tokens) {
  const auto wanted = static_cast<size_t>(kv_blocks_for(tokens));
  const auto first = static_cast<size_t>(first_written / kKvBlockTokens);
  const auto is_shared = [&](size_t i) { return ids_[i] >= 0 && pool_->owners(ids_[i]) > 1; };
  int64_t missing = static_cast<int64_t>(wanted) - static_cast<int64_t>(ids_.size());
  for (size_t i = first; i < std::min(ids_.size(), wanted); ++i) missing += is_shared(i) ? 1 : 0;
  if (missing > pool_->free_blocks()) return false;
  for (size_t i = first; i < std::min(ids_.size(), wanted); ++i) {
    if (!is_shared(i)) continue;
    const int32_t own = *pool_->allocate();
    std::memcpy(pool_->data(own), blocks_[i], pool_->block_bytes_);
    ++pool_->copies_;
    pool_->release(ids_[i]);
    ids_[i] = own;
    blocks_[i] = pool_->data(own);
  }
  while (ids_.size() < wanted) {
    ids_.push_back(*pool_->allocate());
    blocks_.push_back(pool_->data(ids_.back()));
  }
  return true;
}

void KvBlocks::truncate(int64_t tokens) {
  const auto kept = static_cast<size_t>(kv_blocks_for(tokens));
  while (ids_.size() > kept) {
    pool_->release(ids_.back());
    ids_.pop_back();
    blocks_.pop_back();
  }
}

void KvBlocks::drop_before(int64_t position) {
  const auto whole = static_cast<size_t>(std::max<int64_t>(0, position) / kKvBlockTokens);
  for (size_t i = 0; i < std::min(whole, ids_.size()); ++i) {
    if (ids_[i] < 0) continue;
    pool_->release(ids_[i]);
    ids_[i] = -1;
    blocks_[i] = nullptr;
  }
}

std::unique_ptr<KvBlocks> KvBlocks::fork(int64_t tokens) const {
  auto copy = std::make_unique<KvBlocks>(pool_, capacity_);
  if (pool_->options().layout == "paged") {
    for (size_t i = 0; i < std::min(ids_.size(), static_cast<size_t>(kv_blocks_for(tokens))); ++i) {
      if (ids_[i] >= 0) pool_->share(ids_[i]);
      copy->ids_.push_back(ids_[i]);
      copy->blocks_.push_back(blocks_[i]);
    }
    return copy;
  }
  if (stretch_blocks_ == 0) return copy;
  if (!copy->grow_stretch(stretch_blocks_)) return nullptr;
  std::memcpy(copy->stretch_.data(), stretch_.data(), stretch_.size());
  ++pool_->copies_;
  return copy;
}

}  // namespace llm
