// Blocks of finished and running requests, found again by the tokens that they hold: a prompt that
// begins as an earlier one did is not computed twice.
//
// A radix tree over whole blocks of 32 tokens. A node is a block under the path of blocks before
// it; the cache owns its blocks beside whoever else uses them, and lets the least recently used
// ones go when memory is short, leaves first. A salt keeps apart what must not be shared (adapters
// change keys and values). Follows SGLang's RadixAttention (2312.07104) with blocks as edges.
// Belongs to one engine thread, as its pool does.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "serving/kv_pool.h"

namespace llm {

class PrefixCache {
 public:
  explicit PrefixCache(std::shared_ptr<KvPool> pool);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  /// Blocks that hold the longest known beginning of `tokens`, in order; never all of `tokens`.
  /// They stay valid until the next call of evict() or clear(): start a sequence with them first.
  std::vector<int32_t> find(std::span<const int32_t> tokens, const std::string& salt = {});
  /// Remembers the whole blocks of a sequence that has read `tokens`; a block that was let go ends
  /// it. Where another sequence has left the same, one of the two stays: that which is in use.
  void insert(std::span<const int32_t> tokens, std::span<const int32_t> block_ids,
              const std::string& salt = {});
  /// Lets blocks go that nobody else uses until `wanted` are free in the pool; false where there
  /// are not enough.
  bool evict(int64_t wanted);
  void clear();

  int64_t blocks() const { return blocks_; }
  /// Blocks that evict() could free.
  int64_t evictable() const;

 private:
  struct Node;
  using Children = std::map<std::vector<int32_t>, std::unique_ptr<Node>>;  // by their 32 tokens
  void touch(Node& node);
  void remove(Node& leaf);

  std::shared_ptr<KvPool> pool_;
  std::map<std::string, std::unique_ptr<Node>> roots_;
  std::list<Node*> by_use_;  // least recently used first
  int64_t blocks_ = 0;
};

}  // namespace llm
