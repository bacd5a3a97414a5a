// What takes part in a pass of the engine, and the pass itself.
#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "serving/engine.h"

namespace llm {
namespace {

// Prompt tokens of a pass where nobody waits for a token: one full pass of the packed model.
constexpr int64_t kWholeChunk = 192;
constexpr int64_t kLeastChunk = 8;
// A pass with a chunk of a prompt aims at this many times a pass without; each further prompt for a
// text adds as much again.
constexpr double kSlowdown = 1.7;
constexpr double kSmoothing = 0.1;

/// Whole blocks, in tokens, with which both begin; never all of `tokens`: one must be read.
int64_t common_blocks(std::span<const int32_t> tokens, std::span<const int32_t> others) {
  const auto differ = std::ranges::mismatch(tokens, others).in1;
  const int64_t common = std::min(differ - tokens.begin(), std::ssize(tokens) - 1);
  return std::max<int64_t>(0, common) / kKvBlockTokens * kKvBlockTokens;
}

}  // namespace

/// The newest token of every text, then chunks of the prompts in the room that is left.
void Engine::plan_pass() {
  int64_t reading = 0, writing = 0;
  // (plan_task may send away other tasks, never the task.)
  for (auto task = running_.begin(); task != running_.end(); ++task) {
    if (task->generation->held()) continue;
    if (task->generation->decoding()) {
      plan_task(task, 1);
      ++writing;
    } else {
      ++reading;
    }
  }
  crowding_ =
      writing == 0 ? 1 : std::max(1.0, static_cast<double>(reading) / static_cast<double>(writing));
  int64_t budget = pass_.empty() ? kWholeChunk : chunk_budget();
  const std::vector<Tasks::iterator> readers = prompts_to_read();
  int64_t left = std::ssize(readers);
  for (const Tasks::iterator task : readers) {
    if (budget <= 0) return;
    if (task->preempted) continue;  // sent away for one of those before it
    const int64_t share = std::max<int64_t>(1, budget / left--);
    const size_t before = pass_.size();
    if (!plan_task(task, share)) return;  // what came later must not overtake it
    for (size_t i = before; i < pass_.size(); ++i) budget -= std::ssize(pass_[i].ids);
  }
}

/// The prompts that can be read now: one that begins as another before it does waits until that has
/// read what they have in common, and finds it in the prefix cache.
std::vector<Engine::Tasks::iterator> Engine::prompts_to_read() {
  std::vector<Tasks::iterator> readers;
  std::vector<int64_t> known;  // tokens that each has read, or finds when it starts
  const auto must_wait = [&](const Task& task) {
    for (size_t i = 0; i < readers.size(); ++i) {
      const Task& other = *readers[i];
      if (other.adapter == task.adapter &&
          known[i] < common_blocks(task.generation->tokens(), other.generation->tokens()))
        return true;
    }
    return false;
  };
  for (auto task = running_.begin(); task != running_.end(); ++task) {
    const Generation& generation = *task->generation;
    if (is_planned(*task) || generation.finished() || generation.decoding() || generation.held())
      continue;
    const TokenSequence* sequence = generation.sequence();
    int64_t length = sequence != nullptr ? sequence->length() : 0;
    if (prefixes_ && task->may_share && sequence == nullptr) {
      if (must_wait(*task)) continue;
      length =
          std::ssize(prefixes_->find(generation.tokens(), salt_of(task->adapter))) * kKvBlockTokens;
    }
    readers.push_back(task);
    // One that waits for its grammar has read all but its last token: nobody waits for that one.
    known.push_back(length + (generation.waits() ? 1 : 0));
  }
  return readers;
}

/// What a generation does: its tokens are counted, and its error ends it alone.
bool Engine::let(Task& task, const std::function<bool(Generation&)>& act) {
  const int64_t before = task.generation->generated_tokens();
  bool done = true;
  try {
    done = act(*task.generation);
  } catch (const Error& error) {
    task.generation->finish(FinishReason::error, error.what());
  }
  stats_.generated_tokens +=
      static_cast<uint64_t>(std::max<int64_t>(0, task.generation->generated_tokens() - before));
  return done;
}

/// Plans a task, making room by the cache and by the youngest others. False: it has to wait.
bool Engine::plan_task(Tasks::iterator task, int64_t budget) {
  const bool decoding = task->generation->decoding();
  while (true) {
    const size_t before = pass_.size();
    const auto plan = [&](Generation& one) { return one.plan(budget, *this, pass_); };
    if (let(*task, plan)) {
      if (pass_.size() > before) planned_.push_back({&*task, pass_.size() - before, decoding});
      return true;
    }
    if (make_room() || put_held_aside(&*task)) continue;
    const auto youngest = std::prev(running_.end());
    if (running_.size() == 1)
      task->generation->finish(FinishReason::error, "the KV cache is too small for this request");
    if (youngest == task || is_planned(*youngest)) return false;  // others go on; it waits for them
    put_aside(youngest);
  }
}

/// One more free block, which may be enough to go on, out of the cache.
bool Engine::make_room() {
  if (!prefixes_) return false;
  const int64_t wanted = pool_->free_blocks() + 1;
  if (prefixes_->evict(wanted)) return true;
  if (prefixes_->evictable() == 0) return false;
  // What others left may stand above blocks that are in use, in place of the users' own.
  for (Task& task : running_) {
    task.noted_length = 0;
    note_prefix(task);
  }
  return prefixes_->evict(wanted);
}

bool Engine::is_planned(const Task& task) const {
  return std::any_of(planned_.begin(), planned_.end(),
                     [&](const Share& share) { return share.task == &task; });
}

int64_t Engine::chunk_budget() const {
  if (options_.prefill_chunk > 0) return options_.prefill_chunk;
  return std::min(kWholeChunk, static_cast<int64_t>(chunk_tokens_ * crowding_));
}

void Engine::learn(double milliseconds, int64_t rows, bool decodes, bool prompts) {
  if (!decodes || options_.prefill_chunk > 0) return;
  if (!prompts) {
    decode_ms_ =
        decode_ms_ == 0 ? milliseconds : decode_ms_ + kSmoothing * (milliseconds - decode_ms_);
    return;
  }
  if (decode_ms_ == 0 || rows == 0) return;
  const double wanted = decode_ms_ * (1 + (kSlowdown - 1) * crowding_);
  const double change = std::clamp(wanted / milliseconds, 0.7, 1.15);
  chunk_tokens_ = std::clamp(chunk_tokens_ * change, static_cast<double>(kLeastChunk),
                             static_cast<double>(kWholeChunk));
}

void Engine::run_pass() {
  int64_t rows = 0, tokens = 0;
  bool decodes = false, prompts = false;
  for (const TokenSegment& segment : pass_) {
    rows += segment.rows();
    tokens += std::ssize(segment.ids);
  }
  for (const Share& share : planned_) {
    decodes |= share.decoding;
    prompts |= !share.decoding;
  }
  const auto vocab = static_cast<size_t>(model_.vocab_size());
  logits_.resize(static_cast<size_t>(rows) * vocab);
  const auto started = Generation::Clock::now();
  model_.forward(pass_, logits_);
  learn(std::chrono::duration<double, std::milli>(Generation::Clock::now() - started).count(),
        tokens, decodes, prompts);
  ++stats_.passes;
  size_t segment = 0, row = 0;
  for (const Share& share : planned_) {
    size_t own = 0, read = 0;
    for (size_t last = segment + share.segments; segment < last; ++segment) {
      own += static_cast<size_t>(pass_[segment].rows());
      read += pass_[segment].ids.size();
    }
    if (read == 0) continue;
    if (!share.decoding) stats_.prompt_tokens += read;
    hand_over(*share.task, std::span(logits_).subspan(row * vocab, own * vocab));
    row += own;
  }
}

void Engine::hand_over(Task& task, std::span<const float> logits) {
  let(task, [&](Generation& one) {
    one.take(logits);
    return true;
  });
  note_prefix(task);
}

}  // namespace llm
