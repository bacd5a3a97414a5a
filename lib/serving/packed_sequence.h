// A sequence of a PackedModel: its place in a pool and how much of it is filled.
#pragma once

#include <memory>
#include <utility>

#include "serving/kv_pool.h"
#include "serving/token_model.h"

namespace llm {

class PackedSequence final : public TokenSequence {
 public:
  /// `held` tokens are in `blocks` already. window: keys a token sees, itself included; 0 = all.
  PackedSequence(std::shared_ptr<KvPool> pool, std::unique_ptr<KvBlocks> blocks, int64_t held,
                 int64_t window)
      : pool_(std::move(pool)), blocks_(std::move(blocks)), held_(held), window_(window) {}

  int64_t length() const override { return held_; }
  bool reserve(int64_t tokens) override { return blocks_->reserve(held_, tokens); }
  void truncate(int64_t length) override {
    held_ = length;
    blocks_->truncate(length);
  }
  std::unique_ptr<TokenSequence> fork() override {
    auto blocks = blocks_->fork(held_);
    if (!blocks) return nullptr;
    auto copy = std::make_unique<PackedSequence>(pool_, std::move(blocks), held_, window_);
    copy->use_adapter(adapter());
    return copy;
  }
  void drop_unseen() override {
    if (window_ > 0) blocks_->drop_before(held_ - window_ + 1);
  }
  std::span<const int32_t> block_ids() const override { return blocks_->ids(); }

  const KvShape& shape() const { return pool_->shape(); }
  KvTable table() const { return blocks_->table(); }
  void advance(int64_t tokens) { held_ += tokens; }

 private:
  std::shared_ptr<KvPool> pool_;
  std::unique_ptr<KvBlocks> blocks_;
  int64_t held_, window_;
};

}  // namespace llm
