#include "serving/constraint/mask_builder.h"

#include <algorithm>

namespace llm::constraint {
namespace {

constexpr size_t kWideBytes = 16;  // a way that so many bytes can follow is worth being remembered
constexpr size_t kMostWays = 64;   // more are walked together

}  // namespace

MaskBuilder::MaskBuilder(std::shared_ptr<const Grammar> grammar,
                         std::shared_ptr<const TokenVocabulary> vocabulary)
    : grammar_(grammar),
      vocabulary_(std::move(vocabulary)),
      walker_(grammar),
      local_walker_(grammar),
      state_at_depth_(vocabulary_->longest_token_bytes() + 1) {}

/// Branches begin .. end, whose parent was reached in `state`.
void MaskBuilder::walk_branches(StackWalker& walker, int32_t state, size_t begin, size_t end,
                                std::vector<uint32_t>& bits, std::vector<uint32_t>* exits) {
  const std::span<const TokenVocabulary::Branch> tree = vocabulary_->tree();
  if (begin >= end) return;
  state_at_depth_[tree[begin].depth - 1] = state;
  for (size_t i = begin; i < end;) {
    const TokenVocabulary::Branch& branch = tree[i];
    const int32_t next = walker.step(state_at_depth_[branch.depth - 1], branch.byte);
    if (next == StackWalker::kDead) {
      i = branch.after;
      continue;
    }
    state_at_depth_[branch.depth] = next;
    for (const int32_t id : vocabulary_->tokens_at(i)) bits[id / 32] |= 1u << (id % 32);
    if (exits && walker.accepting(next)) exits->push_back(static_cast<uint32_t>(i));
    i = walker.open(next) ? i + 1 : branch.after;
  }
}

LocalTokens MaskBuilder::local_tokens(const LocalKey& key) {
  const size_t done = walker_.work() + local_work_;
  local_walker_.refresh(most_work_ == kAnyWork ? kAnyWork
                                               : most_work_ - std::min(most_work_, done));
  uint32_t frame = 0;
  for (size_t i = 1; i < key.size(); i += 2) frame = local_walker_.push(frame, key[i], key[i + 1]);
  const StackWalker::Way way{key[0], frame};
  LocalTokens tokens;
  tokens.bits.resize(vocabulary_->mask_words());
  const int32_t state = local_walker_.state_of({&way, 1});
  if (state != StackWalker::kDead) {
    walk_branches(local_walker_, state, 0, vocabulary_->tree().size(), tokens.bits, &tokens.exits);
  }
  tokens.tallest = local_walker_.tallest();
  local_work_ += local_walker_.work();
  return tokens;
}

/// False where the stack is so high that the tokens could run into its limit.
bool MaskBuilder::add_local(StackWalker::Way way, const LocalCache& cache,
                            std::vector<uint32_t>& bits) {
  std::vector<uint32_t> counters;  // frames, top first
  uint32_t base = way.frame;
  for (; base != 0 && walker_.is_counter(walker_.frame(base)); base = walker_.frame(base).below) {
    counters.push_back(base);
  }
  LocalKey key{way.step};
  for (size_t i = counters.size(); i-- > 0;) {
    key.push_back(walker_.frame(counters[i]).step);
    key.push_back(walker_.frame(counters[i]).count);
  }
  const auto tokens = cache(key, [&] { return local_tokens(key); });
  const StackWalker::Frame below = walker_.frame(base);
  if (below.depth + tokens->tallest > grammar_->limits.max_stack_depth) return false;
  for (size_t i = 0; i < bits.size(); ++i) bits[i] |= tokens->bits[i];
  if (base == 0) return true;
  const StackWalker::Way after{below.step, below.below};
  const int32_t state = walker_.state_of({&after, 1});
  if (state == StackWalker::kDead) return true;
  for (const uint32_t exit : tokens->exits) {
    walk_branches(walker_, state, exit + 1, vocabulary_->tree()[exit].after, bits, nullptr);
  }
  return true;
}

std::vector<uint32_t> MaskBuilder::tokens_at(const StackSet& place, const LocalCache& cache,
                                             size_t most_work) {
  most_work_ = most_work;
  local_work_ = 0;
  walker_.refresh(most_work);
  std::vector<uint32_t> bits(vocabulary_->mask_words());
  const int32_t state = walker_.load(place);
  const std::span<const StackWalker::Way> all = walker_.ways(state);
  const std::vector<StackWalker::Way> ways(all.begin(), all.end());
  std::vector<StackWalker::Way> narrow;
  for (const StackWalker::Way& way : ways) {
    const bool wide = grammar_->sets[grammar_->steps[way.step].a].count() >= kWideBytes;
    if (!wide || ways.size() > kMostWays || !add_local(way, cache, bits)) narrow.push_back(way);
  }
  const int32_t rest = narrow.empty() ? StackWalker::kDead : walker_.state_of(narrow);
  if (rest != StackWalker::kDead) {
    walk_branches(walker_, rest, 0, vocabulary_->tree().size(), bits, nullptr);
  }
  return bits;
}

}  // namespace llm::constraint
