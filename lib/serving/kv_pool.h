// Memory for the keys and values of many sequences, within one bound, in three layouts.
//
//   paged  blocks of 32 tokens from a free list; blocks may be shared (a common prefix, beams) and
//          are copied when one of several owners writes. Waste: less than a block a sequence.
//   slab   one stretch for the whole capacity of a sequence, from a free list of equal stretches,
//          last freed first. No allocation after the start, contiguous reads; waste: what a
//          sequence does not use.
//   bmc    balancing memory and compute: contiguous, grown by sqrt(capacity) tokens at a time,
//          copied when it grows.
// Which wins when is measured in docs/serving.md. Results are the same bits in all three.
//
// The bound counts blocks of 32 tokens; memory is reserved at once and touched as it is used. A
// block is zeroed when it is handed out again. Not thread-safe: a pool and its sequences belong to
// one engine thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/kernels/kv_blocks.h"

namespace llm {

struct KvPoolOptions {
  int64_t max_blocks = 256;      // of kKvBlockTokens tokens
  std::string layout = "paged";  // paged, slab, bmc
  int64_t slab_tokens = 0;       // capacity of a slab; also what bmc takes the root of
  Codes codes = Codes::none;     // of keys and values: none, int8, fp8
};

class KvPool {
 public:
  KvPool(const KvShape& shape, const KvPoolOptions& options);

  const KvShape& shape() const { return shape_; }
  const KvPoolOptions& options() const { return options_; }
  int64_t max_blocks() const { return options_.max_blocks; }
  int64_t used_blocks() const { return used_; }
  int64_t free_blocks() const { return options_.max_blocks - used_; }
  /// What a sequence of `held` tokens takes from the pool to hold `tokens`, none of them shared.
  int64_t blocks_to_hold(int64_t held, int64_t tokens) const;
  /// What so many sequences of `tokens` that came from one may take at most, copies that are made
  /// while others are still there included.
  int64_t most_blocks(int64_t tokens, int64_t sequences) const;
  int64_t copies() const { return copies_; }  // of blocks and of grown stretches, ever

  // Single blocks (paged).
  /// A zeroed block with one owner; nothing where the pool is exhausted.
  std::optional<int32_t> allocate();
  void share(int32_t block);
  /// One owner less; the last one frees it. -1 is nothing.
  void release(int32_t block);
  int32_t owners(int32_t block) const { return owners_[static_cast<size_t>(block)]; }
  std::byte* data(int32_t block) const;

 private:
  friend class KvBlocks;
  int64_t bmc_segment(int64_t capacity) const;
  std::optional<StreamBuffer> take_stretch(int64_t blocks);
  void return_stretch(StreamBuffer stretch, int64_t blocks);

  KvShape shape_;
  KvPoolOptions options_;
  size_t block_bytes_;
  StreamBuffer memory_;        // paged
  std::vector<int32_t> free_;  // last freed first
  std::vector<int32_t> owners_;
  int32_t fresh_ = 0;                // blocks from here on were never used: still zero
  std::vector<StreamBuffer> slabs_;  // returned ones
  int64_t used_ = 0, copies_ = 0;
};

/// The table of one sequence in a pool, of any layout.
class KvBlocks {
 public:
  /// Begins with `shared` full blocks (paged only), which gain an owner.
  KvBlocks(std::shared_ptr<KvPool> pool, int64_t capacity, std::span<const int32_t> shared = {});
  ~KvBlocks();
  KvBlocks(const KvBlocks&) = delete;
  KvBlocks& operator=(const KvBlocks&) = delete;

  KvTable table() const { return blocks_; }
  std::span<const int32_t> ids() const { return ids_; }
  /// Room for `tokens`, of which everything from `first_written` on is this sequence's alone.
  /// False: the pool is exhausted; the table is as before.
  bool reserve(int64_t first_written, int64_t tokens);
  /// Frees whole blocks past `tokens`.
  void truncate(int64_t tokens);
  /// Frees whole blocks of positions before `position` (paged only).
  void drop_before(int64_t position);
  /// Null: the pool is exhausted.
  std::unique_ptr<KvBlocks> fork(int64_t tokens) const;

 private:
  bool reserve_paged(int64_t first_written, int64_t tokens);
  bool grow_stretch(int64_t blocks);

  std::shared_ptr<KvPool> pool_;
  int64_t capacity_;
  std::vector<std::byte*> blocks_;
  std::vector<int32_t> ids_;  // paged
  StreamBuffer stretch_;      // slab, bmc
  int64_t stretch_blocks_ = 0;
};

}  // namespace llm
