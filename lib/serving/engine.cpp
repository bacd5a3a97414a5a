#include "serving/engine.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"
#include "serving/beam_generation.h"
#include "serving/text_generation.h"

namespace llm {
namespace {

constexpr std::chrono::milliseconds kPatience(2);

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

std::string Engine::salt_of(const ModelAdapterPtr& adapter) {
  return adapter ? adapter->salt() : "";
}

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
  task.adapter = request.adapter;
  task.may_share = !request.config->return_input_logprobs;
  if (request.config->num_beams > 1) {
    task.generation = std::make_unique<BeamGeneration>(
        std::move(request), plan, model_.vocab_size(), constraint_thread_, asked);
  } else {
    std::unique_ptr<Drafter> drafter;
    if (request.config->num_speculative_tokens > 0)
      drafter = options_.make_drafter ? options_.make_drafter(request) : make_ngram_drafter();
    task.generation =
        std::make_unique<TextGeneration>(std::move(request), plan, model_.vocab_size(),
                                         std::move(drafter), constraint_thread_, asked);
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

bool Engine::step(bool may_wait) {
  pass_.clear();
  planned_.clear();
  settle_ended();
  admit();
  plan_pass();
  const auto waits = [](const Task& task) {
    return task.generation->waits() || task.generation->held();
  };
  if (!pass_.empty()) {
    run_pass();
  } else if (may_wait &&
             (std::ranges::any_of(running_, waits) || std::ranges::any_of(waiting_, waits))) {
    constraint_thread_.wait(kPatience);  // others may have come, or what runs may be cancelled
  }
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

/// What was put aside goes on first; then the first of the group of which the fewest run. The end
/// where all are held.
Engine::Tasks::iterator Engine::next_to_run() {
  const auto running_beside = [&](const Task& task) {
    if (task.group == 0) return std::ptrdiff_t{0};
    return std::ranges::count(running_, task.group, &Task::group);
  };
  auto best = waiting_.end();
  std::ptrdiff_t least = std::numeric_limits<std::ptrdiff_t>::max();
  uint64_t last_group = 0;  // a group's tasks mostly stand together
  for (auto task = waiting_.begin(); task != waiting_.end() && least > 0; ++task) {
    if (task->generation->held()) continue;
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

/// Room for a task beside those that run: what is admitted will not be put aside for the prompts
/// that were admitted with it, and each that runs has a block to go on.
bool Engine::has_room_for(const Task& task) const {
  if (std::ssize(running_) >= options_.max_batch_size) return false;
  if (!pool_ || running_.empty()) return true;
  // What nobody holds and nobody who runs still needs.
  int64_t room = pool_->free_blocks() + (prefixes_ ? prefixes_->evictable() : 0);
  for (const Task& other : running_) room -= blocks_wanted(other);
  const int64_t going_on = pool_->options().layout == "slab" ? 0 : std::ssize(running_);
  return room - blocks_wanted(task) >= going_on;
}

/// Those that run, are no part of the pass, and whose readers have enough, give way to `other`.
/// False: there are none.
bool Engine::put_held_aside(const Task* other) {
  bool any = false;
  for (auto after = running_.end(); after != running_.begin();) {
    const auto task = std::prev(after);
    if (&*task != other && !is_planned(*task) && task->generation->held()) {
      put_aside(task);
      any = true;
    } else {
      after = task;
    }
  }
  return any;
}

bool Engine::all_are_held() const {
  return std::ranges::all_of(running_, [](const Task& task) { return task.generation->held(); });
}

void Engine::admit() {
  bool open = options_.continuous_batching || running_.empty();
  while (!waiting_.empty()) {
    const auto next = next_to_run();
    if (next == waiting_.end()) return;
    if (open && has_room_for(*next)) {
      next->preempted = false;
      running_.splice(running_.end(), waiting_, next);
    } else if ((open || all_are_held()) && put_held_aside(nullptr)) {
      open = open || running_.empty();
    } else {
      return;
    }
  }
}

/// A task that runs lets its memory go, and waits to go on.
void Engine::put_aside(Tasks::iterator task) {
  task->generation->preempt();
  task->preempted = true;
  task->noted_length = 0;
  waiting_.splice(waiting_.begin(), running_, task);
  ++stats_.preemptions;
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
  stats_.put_aside_held = std::ranges::count_if(
      waiting_, [](const Task& task) { return task.preempted && task.generation->held(); });
  if (!pool_) return;
  stats_.kv_blocks = pool_->max_blocks();
  stats_.kv_blocks_used = pool_->used_blocks();
  stats_.kv_blocks_cached = prefixes_ ? prefixes_->evictable() : 0;
}

}  // namespace llm
