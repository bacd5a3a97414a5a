#include "serving/constraint/constraint.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <mutex>

#include "base/error.h"
#include "serving/constraint/lru_cache.h"
#include "serving/constraint/mask_builder.h"

namespace llm {
namespace {

using constraint::LocalKey;
using constraint::LocalTokens;
using constraint::MaskBuilder;
using constraint::StackSet;
using constraint::StackWalker;
using constraint::WordsHash;

constexpr size_t kKeptLocalTokens = 128;
constexpr size_t kKeptBuilders = 8;

size_t count_bits(const std::vector<uint32_t>& bits) {
  size_t count = 0;
  for (const uint32_t word : bits) count += static_cast<size_t>(std::popcount(word));
  return count;
}

}  // namespace

struct TokenGrammar::Shared {
  explicit Shared(size_t kept_masks) : masks(kept_masks), local(kKeptLocalTokens) {}
  std::mutex mutex;
  constraint::LruCache<std::vector<uint32_t>, std::shared_ptr<const TokenMask>, WordsHash> masks;
  constraint::LruCache<LocalKey, std::shared_ptr<const LocalTokens>, WordsHash> local;
  std::vector<std::unique_ptr<MaskBuilder>> builders;  // idle ones
  Counts counts;

  /// Two threads may compute the same; the first result stays.
  std::shared_ptr<const LocalTokens> find_local(const LocalKey& key,
                                                const std::function<LocalTokens()>& compute) {
    {
      const std::lock_guard lock(mutex);
      if (const auto* known = local.find(key)) return *known;
    }
    auto tokens = std::make_shared<const LocalTokens>(compute());
    const std::lock_guard lock(mutex);
    local.insert(key, tokens);
    return tokens;
  }
};

/// A builder for the time of one call.
class TokenGrammar::Lease {
 public:
  explicit Lease(const TokenGrammar& owner) : owner_(owner) {
    const std::lock_guard lock(owner_.shared_->mutex);
    if (owner_.shared_->builders.empty()) return;
    builder_ = std::move(owner_.shared_->builders.back());
    owner_.shared_->builders.pop_back();
  }
  ~Lease() {
    const std::lock_guard lock(owner_.shared_->mutex);
    if (builder_ && !builder_->large() && owner_.shared_->builders.size() < kKeptBuilders) {
      owner_.shared_->builders.push_back(std::move(builder_));
    }
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  MaskBuilder& operator*() {
    if (!builder_) builder_ = std::make_unique<MaskBuilder>(owner_.grammar_, owner_.vocabulary_);
    return *builder_;
  }

 private:
  const TokenGrammar& owner_;
  std::unique_ptr<MaskBuilder> builder_;
};

TokenGrammar::TokenGrammar(std::shared_ptr<const Grammar> grammar,
                           std::shared_ptr<const TokenVocabulary> vocabulary, size_t kept_masks)
    : grammar_(std::move(grammar)),
      vocabulary_(std::move(vocabulary)),
      shared_(std::make_unique<Shared>(kept_masks)) {
  Lease lease(*this);
  StackWalker& walker = (*lease).walker();
  start_ = walker.save(walker.start());
}

TokenGrammar::~TokenGrammar() = default;

std::shared_ptr<const TokenMask> TokenGrammar::mask(const StackSet& place, size_t most_work) const {
  StackSet known = place;
  constraint::forget_distant_counts(*grammar_, known,
                                    static_cast<uint32_t>(vocabulary_->longest_token_bytes()));
  std::vector<uint32_t> key = known.words;
  key.push_back(known.accepting);
  {
    const std::lock_guard lock(shared_->mutex);
    if (const auto* mask = shared_->masks.find(key)) {
      ++shared_->counts.masks_found;
      return *mask;
    }
  }
  auto mask = std::make_shared<TokenMask>();
  {
    Lease lease(*this);
    const auto find = [this](const LocalKey& local, const auto& compute) {
      return shared_->find_local(local, compute);
    };
    mask->bits = (*lease).tokens_at(known, find, most_work);
  }
  if (known.accepting) {
    for (const int32_t id : vocabulary_->end_ids()) mask->bits[id / 32] |= 1u << (id % 32);
  }
  mask->allowed = count_bits(mask->bits);
  const std::lock_guard lock(shared_->mutex);
  ++shared_->counts.masks_computed;
  shared_->masks.insert(key, mask);
  return mask;
}

bool TokenGrammar::advance(StackSet& place, std::string_view bytes, size_t most_work) const {
  Lease lease(*this);
  StackWalker& walker = (*lease).walker();
  walker.refresh(most_work);
  const int32_t state = walker.walk(walker.load(place), bytes);
  if (state == StackWalker::kDead) return false;
  place = walker.save(state);
  return true;
}

TokenGrammar::Counts TokenGrammar::counts() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->counts;
}

Constraint::Constraint(std::shared_ptr<const TokenGrammar> source)
    : source_(std::move(source)), place_(source_->start()) {}

std::shared_ptr<const TokenMask> Constraint::mask(size_t most_work) const {
  if (!ended_) return source_->mask(place_, most_work);
  auto nothing = std::make_shared<TokenMask>();
  nothing->bits.resize(vocabulary().mask_words());
  return nothing;
}

bool Constraint::accept(int32_t id, size_t most_work) {
  if (ended_ || id < 0 || static_cast<size_t>(id) >= vocabulary().size()) return false;
  if (vocabulary().is_end(id)) {
    ended_ = place_.accepting;
    return ended_;
  }
  const std::string_view bytes = vocabulary().bytes(id);
  return !bytes.empty() && accept_bytes(bytes, most_work);
}

bool Constraint::accept_bytes(std::string_view bytes, size_t most_work) {
  return !ended_ && source_->advance(place_, bytes, most_work);
}

bool Constraint::accepts(int32_t id) const { return Constraint(*this).accept(id); }

bool Constraint::accepts_bytes(std::string_view bytes) const {
  return Constraint(*this).accept_bytes(bytes);
}

void apply_mask(std::span<float> logits, std::span<const uint32_t> bits) {
  constexpr float kImpossible = -std::numeric_limits<float>::infinity();
  for (size_t id = 0; id < logits.size(); ++id) {
    const bool allowed = id / 32 < bits.size() && (bits[id / 32] >> (id % 32) & 1);
    if (!allowed) logits[id] = kImpossible;
  }
}

}  // namespace llm
