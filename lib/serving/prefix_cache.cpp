#include "serving/prefix_cache.h"

#include <utility>

namespace llm {
namespace {

std::vector<int32_t> block_key(std::span<const int32_t> tokens, size_t block) {
  const auto part = tokens.subspan(block * kKvBlockTokens, kKvBlockTokens);
  return {part.begin(), part.end()};
}

}  // namespace

struct PrefixCache::Node {
  Node* parent = nullptr;
  int32_t block = -1;
  Children children;
  Children::iterator place;           // in the parent's children
  std::list<Node*>::iterator in_use;  // in by_use_
};

PrefixCache::PrefixCache(std::shared_ptr<KvPool> pool) : pool_(std::move(pool)) {}

PrefixCache::~PrefixCache() { clear(); }

void PrefixCache::touch(Node& node) { by_use_.splice(by_use_.end(), by_use_, node.in_use); }

std::vector<int32_t> PrefixCache::find(std::span<const int32_t> tokens, const std::string& salt) {
  std::vector<int32_t> found;
  const auto root = roots_.find(salt);
  if (root == roots_.end()) return found;
  Node* node = root->second.get();
  for (size_t block = 0; (block + 1) * kKvBlockTokens < tokens.size(); ++block) {
    const auto child = node->children.find(block_key(tokens, block));
    if (child == node->children.end()) break;
    node = child->second.get();
    touch(*node);
    found.push_back(node->block);
  }
  return found;
}

void PrefixCache::insert(std::span<const int32_t> tokens, std::span<const int32_t> block_ids,
                         const std::string& salt) {
  auto& root = roots_[salt];
  if (!root) root = std::make_unique<Node>();
  Node* node = root.get();
  for (size_t block = 0; block < block_ids.size(); ++block) {
    if ((block + 1) * kKvBlockTokens > tokens.size() || block_ids[block] < 0) break;
    const auto [place, added] = node->children.try_emplace(block_key(tokens, block));
    if (added) {
      place->second = std::make_unique<Node>();
      Node& made = *place->second;
      made.parent = node;
      made.place = place;
      made.block = block_ids[block];
      made.in_use = by_use_.insert(by_use_.end(), &made);
      pool_->share(made.block);
      ++blocks_;
    }
    node = place->second.get();
    // Two sequences have computed the same. What nobody but the cache uses goes: below a block that
    // is used it could not be let go later.
    if (node->block != block_ids[block] && pool_->owners(node->block) == 1) {
      pool_->share(block_ids[block]);
      pool_->release(std::exchange(node->block, block_ids[block]));
    }
    touch(*node);
  }
}

void PrefixCache::remove(Node& leaf) {
  pool_->release(leaf.block);
  by_use_.erase(leaf.in_use);
  --blocks_;
  leaf.parent->children.erase(leaf.place);  // the node is gone after this
}

bool PrefixCache::evict(int64_t wanted) {
  for (auto place = by_use_.begin(); pool_->free_blocks() < wanted && place != by_use_.end();) {
    Node& node = **place;
    if (!node.children.empty() || pool_->owners(node.block) > 1) {
      ++place;
      continue;
    }
    // A parent is used whenever its child is, just before it: it stands earlier in the list, and
    // becomes a leaf now.
    remove(node);
    place = by_use_.begin();
  }
  return pool_->free_blocks() >= wanted;
}

int64_t PrefixCache::evictable() const {
  int64_t count = 0;
  for (const Node* node : by_use_) count += pool_->owners(node->block) == 1 ? 1 : 0;
  return count;
}

void PrefixCache::clear() {
  for (Node* node : by_use_) pool_->release(node->block);
  by_use_.clear();
  roots_.clear();
  blocks_ = 0;
}

}  // namespace llm
