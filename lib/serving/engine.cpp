#include "serving/engine.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

#include "base/error.h"
#include "serving/beam_generation.h"
#include "serving/text_generation.h"

namespace llm {
namespace {

// Prompt tokens of a pass where nobody waits for a token: one full pass of the packed model.
constexpr int64_t kWholeChunk = 192;
constexpr int64_t kLeastChunk = 8;
// A pass with a chunk of a prompt aims at this many times a pass without; each further prompt for a
// text adds as much again.
constexpr double kSlowdown = 1.7;
constexpr double kSmoothing = 0.1;

/// What keeps apart in the prefix cache what other adapters have computed.
std::string salt_of(const ModelAdapterPtr& adapter) { return adapter ? adapter->salt() : ""; }

}  // namespace

Engine::Engine(const TokenModel& model, EngineOptions options)
    : model_(model), options_(std::move(options)) {
  check(options_.max_batch_size >= 1, "max_batch_size must be at least 1, got {}",
        options_.max_batch_size);
  pool_ = model_.make_pool(options_.kv);
  if (pool_ && options_.prefix_cache && options_.kv.layout == "paged")
    prefixes_ = std::make_unique<PrefixCache>(pool_);
  refresh_stats();
}

Engine::~Engine() = default;

int64_t Engine::context_length() const {
  const int64_t model = model_.context_length(), wanted = options_.max_model_len;
  return model == 0 || wanted == 0 ? std::max(model, wanted) : std::min(model, wanted);
}

void Engine::check_request_fits(const GenerationRequest& request) const {
  const ContextPlan plan = plan_context(request, context_length());
  check_request(request, plan, model_.vocab_size());
  if (!pool_) return;
  // One that memory can never hold, not even alone, would be preempted for ever.
  const int64_t prompt = std::ssize(request.prompt_ids);
  int64_t tokens = prompt + request.config.max_new_tokens();
  if (context_length() > 0) tokens = std::min(tokens, context_length());
  const int64_t wanted = pool_->most_blocks(tokens, request.config->num_beams);
  if (wanted <= pool_->max_blocks()) return;
  fail(Exit::usage,
       fmt::format("prompt and answer may take {} blocks of {} tokens of KV cache; there are {}",
                   wanted, kKvBlockTokens, pool_->max_blocks()),
       "fewer new tokens, or more memory (--kv-cache-memory, inference.max_num_blocks)");
}

void Engine::submit(GenerationRequest request, Done done) {
  check_request_fits(request);
  submit_checked(std::move(request), std::move(done));
}

void Engine::submit_checked(GenerationRequest request, Done done, uint64_t group) {
  const ContextPlan plan = plan_context(request, context_length());
  const auto asked = Generation::Clock::now();
  Task task;
  task.done = std::move(done);
  task.group = group;
  if (request.config->num_beams > 1) {
    task.generation =
        std::make_unique<BeamGeneration>(std::move(request), plan, model_.vocab_size(), asked);
  } else {
    std::unique_ptr<Drafter> drafter;
    if (request.config->num_speculative_tokens > 0)
      drafter = options_.make_drafter ? options_.make_drafter(request) : make_ngram_drafter();
    task.generation = std::make_unique<TextGeneration>(
        std::move(request), plan, model_.vocab_size(), std::move(drafter), asked);
  }
  waiting_.push_back(std::move(task));
  refresh_stats();
}

void Engine::cancel_all() {
  for (Tasks* tasks : {&waiting_, &running_}) {
    for (Task& task : *tasks) task.generation->finish(FinishReason::cancelled);
  }
}

void Engine::fail_all(std::string_view error) {
  for (Tasks* tasks : {&waiting_, &running_}) {
    for (Task& task : *tasks) task.generation->finish(FinishReason::error, error);
  }
}

std::unique_ptr<TokenSequence> Engine::start(std::span<const int32_t> tokens, int64_t capacity,
                                             bool share, const ModelAdapterPtr& adapter) {
  std::vector<int32_t> known;
  if (prefixes_ && share) {
    known = prefixes_->find(tokens, salt_of(adapter));
    stats_.prefix_queries += tokens.size();
    stats_.prefix_hits += known.size() * kKvBlockTokens;
  }
  auto sequence = pool_ ? model_.start_in(pool_, capacity, known) : model_.start(capacity);
  if (sequence) sequence->use_adapter(adapter);
  return sequence;
}

bool Engine::step() {
  settle_ended();
  admit();
  plan_pass();
  if (!pass_.empty()) run_pass();
  settle_ended();
  refresh_stats();
  return !running_.empty() || !waiting_.empty();
}

/// Hands out what has ended, and ends what was cancelled, wherever it is.
void Engine::settle_ended() {
  for (Tasks* tasks : {&waiting_, &running_}) {
    for (auto task = tasks->begin(); task != tasks->end();) {
      Generation& generation = *task->generation;
      if (!generation.finished() && generation.cancelled())
        generation.finish(FinishReason::cancelled);
      if (!generation.finished()) {
        ++task;
        continue;
      }
      note_prefix(*task);
      GenerationResult result = generation.release();
      ++stats_.finished[static_cast<size_t>(result.finish_reason)];
      stats_.tokens_drafted += static_cast<uint64_t>(result.tokens_drafted);
      stats_.tokens_accepted += static_cast<uint64_t>(result.tokens_accepted);
      const Done done = std::move(task->done);
      task = tasks->erase(task);
      if (done) done(std::move(result));
    }
  }
}

/// What a task takes from the pool until its next new token is in it.
int64_t Engine::blocks_wanted(const Task& task) const {
  const TokenSequence* sequence = task.generation->sequence();
  const int64_t held = sequence != nullptr ? sequence->length() : 0;
  return pool_->blocks_to_hold(held, held + task.generation->pending_tokens() + 1);
}

/// What was put aside goes on first; then the first of the group of which the fewest run.
Engine::Tasks::iterator Engine::next_to_run() {
  const auto running_beside = [&](const Task& task) {
    if (task.group == 0) return std::ptrdiff_t{0};
    return std::ranges::count(running_, task.group, &Task::group);
  };
  auto best = waiting_.begin();
  std::ptrdiff_t least = std::numeric_limits<std::ptrdiff_t>::max();
  uint64_t last_group = 0;  // a group's tasks mostly stand together
  for (auto task = waiting_.begin(); task != waiting_.end() && least > 0; ++task) {
    if (task->preempted) return task;
    if (task->group != 0 && task->group == last_group) continue;
    last_group = task->group;
    const std::ptrdiff_t count = running_beside(*task);
    if (count < least) {
      best = task;
      least = count;
    }
  }
  return best;
}

/// As many as there is room for: what is admitted will not be put aside for the prompts that were
/// admitted with it, and each that runs has a block to go on.
void Engine::admit() {
  if (waiting_.empty()) return;
  if (!options_.continuous_batching && !running_.empty()) return;
  int64_t room = 0;  // what nobody holds and nobody who runs still needs
  if (pool_) {
    room = pool_->free_blocks() + (prefixes_ ? prefixes_->evictable() : 0);
    for (const Task& task : running_) room -= blocks_wanted(task);
  }
  while (!waiting_.empty() && std::ssize(running_) < options_.max_batch_size) {
    const auto next = next_to_run();
    if (pool_) {
      room -= blocks_wanted(*next);
      const int64_t going_on = pool_->options().layout == "slab" ? 0 : std::ssize(running_);
      if (!running_.empty() && room < going_on) return;
    }
    next->preempted = false;
    running_.splice(running_.end(), waiting_, next);
  }
}

/// The newest token of every text, then chunks of the prompts in the room that is left.
void Engine::plan_pass() {
  pass_.clear();
  planned_.clear();
  int64_t reading = 0, writing = 0;
  // (plan_task may send away what stands behind the task, never the task.)
  for (auto task = running_.begin(); task != running_.end(); ++task) {
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
  for (auto task = running_.begin(); task != running_.end() && budget > 0; ++task) {
    if (!is_planned(*task) && !task->generation->finished() && !task->generation->decoding()) {
      const int64_t share = std::max<int64_t>(1, budget / std::max<int64_t>(1, reading--));
      const int64_t taken = std::min(share, task->generation->pending_tokens());
      if (!plan_task(task, share)) break;  // what came later must not overtake it
      budget -= taken;
    }
  }
}

/// Plans a task, making room by the cache and by the youngest others. False: it has to wait.
bool Engine::plan_task(Tasks::iterator task, int64_t budget) {
  const bool decoding = task->generation->decoding();
  while (true) {
    const size_t before = pass_.size();
    if (task->generation->plan(budget, *this, pass_)) {
      planned_.push_back({&*task, pass_.size() - before, decoding});
      return true;
    }
    if (make_room()) continue;
    const auto youngest = std::prev(running_.end());
    if (running_.size() == 1)
      task->generation->finish(FinishReason::error, "the KV cache is too small for this request");
    if (youngest == task || is_planned(*youngest)) return false;  // others go on; it waits for them
    youngest->generation->preempt();
    youngest->preempted = true;
    youngest->noted_length = 0;
    waiting_.splice(waiting_.begin(), running_, youngest);
    ++stats_.preemptions;
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
  const int64_t before = task.generation->generated_tokens();
  try {
    task.generation->take(logits);
  } catch (const Error& error) {
    task.generation->finish(FinishReason::error, error.what());
  }
  stats_.generated_tokens +=
      static_cast<uint64_t>(std::max<int64_t>(0, task.generation->generated_tokens() - before));
  note_prefix(task);
}

/// Whole blocks that a sequence has filled may serve others from now on.
void Engine::note_prefix(Task& task) {
  const TokenSequence* sequence = task.generation->sequence();
  if (!prefixes_ || sequence == nullptr) return;
  const int64_t whole = sequence->length() / kKvBlockTokens * kKvBlockTokens;
  if (whole <= task.noted_length) return;
  task.noted_length = whole;
  const auto tokens = task.generation->tokens();
  if (std::ssize(tokens) < whole) return;
  prefixes_->insert(tokens.first(static_cast<size_t>(whole)), sequence->block_ids(),
                    salt_of(sequence->adapter()));
}

void Engine::refresh_stats() {
  stats_.running = std::ssize(running_);
  stats_.waiting = std::ssize(waiting_);
  if (!pool_) return;
  stats_.kv_blocks = pool_->max_blocks();
  stats_.kv_blocks_used = pool_->used_blocks();
  stats_.kv_blocks_cached = prefixes_ ? prefixes_->evictable() : 0;
}

}  // namespace llm
