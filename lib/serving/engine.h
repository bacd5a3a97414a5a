// The engine: many requests through one model, one pass at a time.
//
// Requests join and leave between passes (continuous batching, Orca). A pass holds the newest token
// of every text that is being written and, beside them, a chunk of the prompts that are being read
// (chunked prefill, Sarathi-Serve): a long prompt does not stall others. How large the chunk may
// be follows from what was measured: a pass with prompts should take less than twice what a pass
// without takes, or longer in proportion where more prompts wait to be read than texts are being
// written: fifteen that wait are not held up for one that runs. Keys and values lie in one pool;
// prompts that begin alike share blocks, those that come together too: one reads, the others wait
// for it. When the pool is exhausted the prefix cache gives way first, then the youngest request,
// which is computed again later. None of this changes a result: a request's text is the same alone
// and in any crowd (TokenModel's law), and tested to be. A text whose grammar takes long to say
// what may come next sits passes out meanwhile (grammar_place.h); so does one whose reader does not
// keep up, and gives its place and its memory to others who wait.
//
// Fairness: requests start in the order they came, those of one group (what a caller sent together)
// in turn with others': the group of which the fewest run has the next free place. Prompts that are
// read at the same time share the chunk equally.
//
// Engine is the single-threaded core: submit, then step() until it returns false. EngineThread
// (engine_thread.h) runs one for callers on other threads.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "serving/constraint/constraint_thread.h"
#include "serving/draft.h"
#include "serving/generation.h"
#include "serving/kv_pool.h"
#include "serving/prefix_cache.h"
#include "serving/token_model.h"

namespace llm {

struct EngineOptions {
  int64_t max_batch_size = 128;     // requests in flight
  bool continuous_batching = true;  // false: requests start only where none is in flight
  KvPoolOptions kv;
  bool prefix_cache = true;
  int64_t max_model_len = 0;  // tokens of prompt and answer; 0 = the model's context
  int64_t prefill_chunk = 0;  // prompt tokens beside running texts; 0 = by measurement
  /// For requests with num_speculative_tokens; null = prompt lookup.
  std::function<std::unique_ptr<Drafter>(const GenerationRequest&)> make_drafter;
};

struct EngineStats {
  int64_t running = 0, waiting = 0;
  int64_t put_aside_held = 0;  // of those that wait: until their readers have read
  int64_t kv_blocks = 0, kv_blocks_used = 0;
  int64_t kv_blocks_cached = 0;  // of those used: what only the prefix cache holds, and gives up
  uint64_t passes = 0, prompt_tokens = 0, generated_tokens = 0;   // prompt: computed, not cached
  uint64_t preemptions = 0, prefix_queries = 0, prefix_hits = 0;  // tokens asked for and found
  uint64_t tokens_drafted = 0, tokens_accepted = 0;
  uint64_t finished[6] = {};  // by FinishReason
};

class Engine final : private SequenceSource {
 public:
  using Done = std::function<void(GenerationResult&&)>;

  /// Keeps a reference to the model.
  Engine(const TokenModel& model, EngineOptions options);
  ~Engine() override;

  /// Refuses what can never be computed (usage errors). `done` is called from step().
  void submit(GenerationRequest request, Done done);
  /// The same for a request that check_request_fits() has let pass. group 0: it stands alone.
  void submit_checked(GenerationRequest request, Done done, uint64_t group = 0);
  /// Throws what submit() refuses. May be called from any thread.
  void check_request_fits(const GenerationRequest& request) const;
  /// Ends all requests at the next step.
  void cancel_all();
  void fail_all(std::string_view error);
  /// One pass, or what could be settled without one. False: nothing is left to do. may_wait: it may
  /// take some two milliseconds where all texts wait for their grammars or readers.
  bool step(bool may_wait = true);
  /// The last step had a pass.
  bool ran_pass() const { return !pass_.empty(); }
  const EngineStats& stats() const { return stats_; }
  const TokenModel& model() const { return model_; }

 private:
  struct Task {
    std::unique_ptr<Generation> generation;
    Done done;
    uint64_t group = 0;
    ModelAdapterPtr adapter;
    bool may_share = true;  // its sequence may begin with what others have read
    bool preempted = false;
    int64_t noted_length = 0;  // tokens that the prefix cache knows of it
  };
  using Tasks = std::list<Task>;

  std::unique_ptr<TokenSequence> start(std::span<const int32_t> tokens, int64_t capacity,
                                       bool share, const ModelAdapterPtr& adapter) override;
  /// What keeps apart in the prefix cache what other adapters have computed.
  static std::string salt_of(const ModelAdapterPtr& adapter);
  int64_t context_length() const;
  int64_t blocks_wanted(const Task& task) const;
  Tasks::iterator next_to_run();
  bool has_room_for(const Task& task) const;
  bool put_held_aside(const Task* other);
  bool all_are_held() const;
  void put_aside(Tasks::iterator task);
  void admit();
  void settle_ended();
  void plan_pass();
  std::vector<Tasks::iterator> prompts_to_read();
  bool let(Task& task, const std::function<bool(Generation&)>& act);
  bool plan_task(Tasks::iterator task, int64_t budget);
  bool make_room();
  bool is_planned(const Task& task) const;
  void run_pass();
  void hand_over(Task& task, std::span<const float> logits);
  void note_prefix(Task& task);
  int64_t chunk_budget() const;
  void learn(double milliseconds, int64_t rows, bool decodes, bool prompts);
  void refresh_stats();

  const TokenModel& model_;
  EngineOptions options_;
  std::shared_ptr<KvPool> pool_;
  std::unique_ptr<PrefixCache> prefixes_;
  ConstraintThread constraint_thread_;
  Tasks waiting_, running_;  // running: the oldest first
  std::vector<TokenSegment> pass_;
  struct Share {  // of the pass
    Task* task;
    size_t segments;
    bool decoding;
  };
  std::vector<Share> planned_;
  std::vector<float> logits_;
  double decode_ms_ = 0;      // of a pass without prompts, smoothed
  double chunk_tokens_ = 24;  // beside as many texts as prompts, or more
  double crowding_ = 1;       // prompts for each text of the pass that is planned, at least 1
  EngineStats stats_;
};

}  // namespace llm
