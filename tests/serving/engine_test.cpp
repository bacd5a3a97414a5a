#include "serving/engine.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_prompt;
using test::a_request;
using test::expect_as_alone;
using test::kVocab;
using test::run_all;
using test::run_alone;
using test::with_blocks;

/// Sixteen of all kinds: long and short prompts, greedy and sampled, early ends, beams, guesses.
std::vector<GenerationRequest> mixed_requests() {
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 16; ++i) {
    requests.push_back(a_request(a_prompt(1 + i * i, i / 2), [&](GenerationConfig& c) {
      c.max_new_tokens = static_cast<int64_t>(5 + 9 * (i % 4));
      c.seed = static_cast<int64_t>(i);
      c.temperature = i % 3 == 0 ? 0 : 1;
      if (i % 4 == 1) c.eos_token_id = {9, 30};
      if (i % 5 == 2) c.num_speculative_tokens = 4;
      if (i == 7) c.num_beams = 3;
      if (i == 8) c.return_input_logprobs = true;
      if (i == 9) c.repetition_penalty = 1.3, c.frequency_penalty = 0.5;
    }));
  }
  return requests;
}

TEST(Engine, AnAnswerIsTheSameAloneAndAmongSixteen) {
  const CountingModel model(kVocab);
  for (const int64_t chunk : {0, 1, 7, 100}) {
    EngineOptions options = with_blocks(300);
    options.prefill_chunk = chunk;
    expect_as_alone(model, mixed_requests(), run_all(model, options, mixed_requests()));
  }
  EXPECT_GE(model.largest_batch, 10u) << "that was no crowd";
}

TEST(Engine, EveryLayoutOfMemoryGivesTheSameTexts) {
  const CountingModel model(kVocab, 400);
  for (const char* layout : {"paged", "slab", "bmc"}) {
    EngineOptions options = with_blocks(600);
    options.kv.layout = layout;
    options.kv.slab_tokens = 400;
    expect_as_alone(model, mixed_requests(), run_all(model, options, mixed_requests()));
  }
}

TEST(Engine, ShortMemoryPutsRequestsAsideAndChangesNoText) {
  const CountingModel model(kVocab);
  for (const int64_t blocks : {12, 14, 16, 20}) {
    EngineStats stats;
    const auto results = run_all(model, with_blocks(blocks), mixed_requests(), &stats);
    expect_as_alone(model, mixed_requests(), results);
    EXPECT_EQ(stats.kv_blocks_used, stats.kv_blocks_cached) << "blocks were lost";
  }
}

TEST(Engine, TextsThatGrowPastTheMemoryArePreemptedNotFailed) {
  const CountingModel model(kVocab);
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 4; ++i)
    requests.push_back(a_request(a_prompt(20, i), [](auto& c) { c.max_new_tokens = 100; }));
  EngineStats stats;
  const auto results = run_all(model, with_blocks(6), requests, &stats);
  expect_as_alone(model, requests, results);
  EXPECT_GT(stats.preemptions, 0u);
}

TEST(Engine, ASlabThatIsNotThereIsWaitedFor) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(8);  // two slabs
  options.kv.layout = "slab";
  options.kv.slab_tokens = 128;
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 5; ++i)
    requests.push_back(a_request(a_prompt(5, i), [](auto& c) { c.max_new_tokens = 20; }));
  EngineStats stats;
  const auto results = run_all(model, options, requests, &stats);
  expect_as_alone(model, requests, results);
  EXPECT_EQ(stats.preemptions, 0u);
}

TEST(Engine, PromptsThatComeTogetherAreAdmittedAsMemoryHoldsThem) {
  const CountingModel model(kVocab);
  std::vector<GenerationRequest> requests;  // of three blocks each, with the answer
  for (uint64_t i = 0; i < 6; ++i)
    requests.push_back(a_request(a_prompt(70, i), [](auto& c) { c.max_new_tokens = 10; }));
  EngineStats stats;
  EngineOptions options = with_blocks(8);
  options.prefix_cache = false;
  const auto results = run_all(model, options, requests, &stats);
  expect_as_alone(model, requests, results);
  EXPECT_EQ(stats.preemptions, 0u);
}

TEST(Engine, ARequestThatMemoryCanNeverHoldIsRefusedAtOnce) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(2));
  try {
    engine.submit(a_request(a_prompt(60, 1)), {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    EXPECT_EQ(error.message(),
              "prompt and answer may take 3 blocks of 32 tokens of KV cache; there are 2");
  }
}

/// The refusal of a request of 60 tokens, 80 with the answer, of three blocks.
std::string refusal(const char* layout, int64_t blocks, int64_t beams = 1) {
  const CountingModel model(kVocab, 128);
  EngineOptions options = with_blocks(blocks);
  options.kv.layout = layout;
  options.kv.slab_tokens = 128;
  std::vector<FinishReason> ended;
  try {
    Engine engine(model, options);
    engine.submit(a_request(a_prompt(60, 1),
                            [&](auto& c) {
                              c.max_new_tokens = 20;
                              c.num_beams = beams;
                              c.ignore_eos = true;
                            }),
                  [&](GenerationResult&& result) { ended.push_back(result.finish_reason); });
    while (engine.step()) {
    }
  } catch (const Error& error) {
    return error.message();
  }
  EXPECT_EQ(ended, std::vector{FinishReason::length});
  return "";
}

TEST(Engine, WhatALayoutCouldNeverHoldIsRefusedAtOnceAndAllElseEnds) {
  const auto told = [](int64_t wanted, int64_t blocks) {
    return fmt::format(
        "prompt and answer may take {} blocks of 32 tokens of KV cache; there are {}", wanted,
        blocks);
  };
  EXPECT_EQ(refusal("paged", 3), "");
  EXPECT_EQ(refusal("paged", 7, 2), told(8, 7));  // each beam's newest block is its own
  EXPECT_EQ(refusal("paged", 8, 2), "");
  EXPECT_EQ(refusal("slab", 3), told(4, 3));
  EXPECT_EQ(refusal("slab", 4), "");
  EXPECT_EQ(refusal("slab", 7, 2), told(8, 7));
  EXPECT_EQ(refusal("slab", 8, 2), "");
  EXPECT_EQ(refusal("bmc", 4), told(5, 4));  // two blocks are there until the three are filled
  EXPECT_EQ(refusal("bmc", 5), "");
  EXPECT_EQ(refusal("bmc", 7, 2), told(8, 7));
  EXPECT_EQ(refusal("bmc", 8, 2), "");
}

TEST(Engine, TheLongestLengthIsOfPromptAndAnswerInEveryLayout) {
  const CountingModel model(kVocab, 400);
  const auto long_text = [](auto& c) {
    c.max_new_tokens = 300;
    c.ignore_eos = true;
  };
  for (const char* layout : {"paged", "slab", "bmc"}) {
    EngineOptions options = with_blocks(40);
    options.kv.layout = layout;
    options.kv.slab_tokens = options.max_model_len = 64;
    const auto result = run_all(model, options, {a_request(a_prompt(50, 1), long_text)})[0];
    EXPECT_EQ(result.finish_reason, FinishReason::length) << layout;
    EXPECT_EQ(result.token_ids.size(), 14u) << layout;  // 50 + 14 = 64
    for (const int beams : {2, 4}) {
      const auto found = run_all(model, options, {a_request(a_prompt(50, 1), [&](auto& c) {
                                   long_text(c);
                                   c.num_beams = beams;
                                 })})[0];
      EXPECT_EQ(found.token_ids.size(), 14u) << layout << ", " << beams << " beams";
    }
    Engine engine(model, options);
    EXPECT_THROW(engine.submit(a_request(a_prompt(64, 1)), {}), Error) << layout;
  }
}

TEST(Engine, GroupsRunInTurn) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(50);
  options.max_batch_size = 2;
  Engine engine(model, options);
  std::string ended;
  const auto submit = [&](char name, uint64_t group, int64_t tokens) {
    engine.submit_checked(
        a_request(a_prompt(3, static_cast<uint64_t>(name)),
                  [&](auto& c) {
                    c.max_new_tokens = tokens;
                    c.ignore_eos = true;
                  }),
        [&, name](GenerationResult&&) { ended += name; }, group);
  };
  for (const char name : {'a', 'b', 'c', 'd', 'e'}) submit(name, 1, 4);
  engine.step();  // a and b run
  submit('x', 2, 2);
  submit('y', 2, 1);
  while (engine.step()) {
  }
  // Of the two free places one is the second group's; in the order of arrival x would be the fifth.
  EXPECT_EQ(ended, "abxycde");
}

TEST(Engine, RequestsJoinBetweenPasses) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(50));
  std::vector<GenerationResult> results(2);
  const auto submit = [&](size_t i) {
    engine.submit(a_request(a_prompt(3, i)),
                  [&, i](GenerationResult&& result) { results[i] = std::move(result); });
  };
  submit(0);
  for (int i = 0; i < 4; ++i) engine.step();
  submit(1);
  while (engine.step()) {
  }
  // The first draws in passes 1..12, the second in 5..16.
  EXPECT_EQ(engine.stats().passes, 16u);
  EXPECT_EQ(results[1].token_ids, run_alone(model, a_request(a_prompt(3, 1))).token_ids);
}

TEST(Engine, ALongPromptIsReadBesideRunningTexts) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(50);
  options.prefill_chunk = 10;
  Engine engine(model, options);
  int64_t drawn = 0;
  GenerationRequest running = a_request({5}, [](auto& c) { c.max_new_tokens = 60; });
  running.on_token = [&](const TokenEvent& event) { return drawn += event.id >= 0, true; };
  engine.submit(running, {});
  engine.step();
  bool answered = false;
  GenerationRequest late = a_request(a_prompt(200, 1));
  late.on_token = [&](const TokenEvent&) { return answered = true; };
  engine.submit(late, {});
  model.largest_pass = 0;
  int64_t passes = 0;
  while (!answered) {
    engine.step();
    EXPECT_EQ(drawn, 1 + ++passes);  // the running text gains a token in every pass
  }
  EXPECT_EQ(passes, 20);
  EXPECT_EQ(model.largest_pass, 11u);
}

TEST(Engine, PromptsThatOutnumberTheTextsAreReadInLargerChunks) {
  for (const auto& [prompts, chunk] : {std::pair(1, 24u), {3, 72u}, {15, 192u}}) {
    const CountingModel model(kVocab);
    Engine engine(model, with_blocks(200));
    engine.submit(a_request({5}, [](auto& c) { c.max_new_tokens = 60; }), {});
    engine.step();
    model.largest_pass = 0;
    for (int i = 0; i < prompts; ++i)
      engine.submit(a_request(a_prompt(100, static_cast<uint64_t>(i))), {});
    engine.step();
    EXPECT_EQ(model.largest_pass, 1 + chunk) << prompts;
  }
}

TEST(Engine, PromptsReadTogetherShareTheChunk) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(100);
  Engine engine(model, options);
  std::vector<size_t> order;
  for (const size_t length : {900, 30}) {
    GenerationRequest request = a_request(a_prompt(length, length));
    request.on_token = [&, length, told = false](const TokenEvent&) mutable {
      if (!std::exchange(told, true)) order.push_back(length);
      return true;
    };
    engine.submit(request, {});
  }
  while (engine.step()) {
  }
  EXPECT_EQ(order, (std::vector<size_t>{30, 900}));  // the short one does not wait for the long one
}

TEST(Engine, ACommonBeginningIsReadOnce) {
  const CountingModel model(kVocab);
  const std::vector<int32_t> shared = a_prompt(100, 1);
  std::vector<GenerationRequest> requests;
  for (int32_t i = 0; i < 5; ++i) {
    std::vector<int32_t> prompt = shared;
    prompt.push_back(10 + i);
    requests.push_back(a_request(prompt));
  }
  EngineOptions options = with_blocks(100);
  options.max_batch_size = 1;
  EngineStats stats;
  const auto results = run_all(model, options, requests, &stats);
  EXPECT_EQ(stats.prompt_tokens, 101u + 4 * 5);  // three whole blocks of 32 are found
  EXPECT_EQ(stats.prefix_hits, 4u * 96);
  EXPECT_EQ(results[4].prompt_tokens_cached, 96);
  expect_as_alone(model, requests, results);
  options.prefix_cache = false;
  run_all(model, options, requests, &stats);
  EXPECT_EQ(stats.prompt_tokens, 5u * 101);
  EXPECT_EQ(stats.prefix_hits, 0u);
}

TEST(Engine, ABeginningThatSeveralReadAtOnceIsReadOnce) {
  const CountingModel model(kVocab);
  std::vector<GenerationRequest> requests;
  for (int64_t i = 0; i < 8; ++i)  // copies of one prompt
    requests.push_back(a_request(a_prompt(300, 1), [i](auto& config) { config.seed = i; }));
  for (uint64_t i = 0; i < 4; ++i) {  // questions under one instruction of 70 tokens
    std::vector<int32_t> prompt = a_prompt(70, 2);
    for (const int32_t id : a_prompt(50, 10 + i)) prompt.push_back(id);
    requests.push_back(a_request(prompt));
  }
  for (const int64_t chunk : {0, 1, 7, 1000}) {
    EngineOptions options = with_blocks(200);
    options.prefill_chunk = chunk;
    EngineStats stats;
    const auto results = run_all(model, options, requests, &stats);
    // Nine whole blocks of 300 tokens, two of 70, are found by all but the first.
    EXPECT_EQ(stats.prompt_tokens, 300u + 7 * (300 - 9 * 32) + 120 + 3 * (120 - 2 * 32)) << chunk;
    EXPECT_EQ(stats.prefix_hits, 7u * 9 * 32 + 3 * 2 * 32) << chunk;
    expect_as_alone(model, requests, results);
  }
}

TEST(Engine, WhoWaitsForABeginningGoesOnWithoutItsReader) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(100));
  GenerationRequest leaving = a_request(a_prompt(310, 1)), staying = leaving;
  leaving.cancelled = std::make_shared<std::atomic<bool>>(false);
  engine.submit(leaving, {});
  GenerationResult stayed;
  engine.submit(staying, [&](GenerationResult&& result) { stayed = std::move(result); });
  engine.step();
  EXPECT_EQ(engine.stats().prompt_tokens, 192u);
  *leaving.cancelled = true;
  while (engine.step()) {
  }
  EXPECT_EQ(engine.stats().prompt_tokens, 192u + 310 - 192);  // six whole blocks were read
  EXPECT_EQ(stayed.token_ids, run_alone(model, staying).token_ids);
}

TEST(Engine, WhoAsksForTheProbabilitiesOfAPromptReadsItHimself) {
  const CountingModel model(kVocab);
  std::vector<GenerationRequest> requests;
  for (int i = 0; i < 3; ++i)
    requests.push_back(
        a_request(a_prompt(100, 1), [i](auto& config) { config.return_input_logprobs = i == 1; }));
  EngineStats stats;
  const auto results = run_all(model, with_blocks(50), requests, &stats);
  EXPECT_EQ(stats.prompt_tokens, 100u + 100 + 4);
  expect_as_alone(model, requests, results);
}

TEST(Engine, TheSameTextAgainFitsWhereItFittedOnce) {
  // 70 + 100 tokens take 6 blocks; there are no more. Also where the text ends inside a block,
  // where others run between, and with one block to spare.
  const CountingModel model(kVocab);
  for (const int64_t spare : {0, 1, 2}) {
    EngineOptions options = with_blocks(6 + spare);
    options.max_batch_size = spare + 1;
    std::vector<GenerationRequest> requests;
    for (int i = 0; i < 6; ++i)
      requests.push_back(a_request(a_prompt(70, i == 3 ? 9 : 8), [](auto& config) {
        config.max_new_tokens = 100, config.temperature = 0;
      }));
    const auto results = run_all(model, options, requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(results[i].error, "") << spare << " " << i;
      EXPECT_EQ(results[i].token_ids, run_alone(model, requests[i]).token_ids) << spare << " " << i;
    }
  }
}

TEST(Engine, AWriterDoesNotDisturbWhoSharesItsBlocks) {
  const CountingModel model(kVocab);
  const std::vector<int32_t> shared = a_prompt(64, 2);
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 8; ++i) {
    std::vector<int32_t> prompt = shared;
    for (const int32_t id : a_prompt(1 + i, i)) prompt.push_back(id);
    requests.push_back(a_request(prompt, [](auto& c) { c.max_new_tokens = 40; }));
  }
  const auto results = run_all(model, with_blocks(30), requests);
  expect_as_alone(model, requests, results);
}

class CancelAt : public testing::TestWithParam<int> {};

TEST_P(CancelAt, EndsAtTheNextStepAndFreesMemory) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(100);
  options.max_batch_size = 1;
  options.prefix_cache = false;
  Engine engine(model, options);
  // 0: while it waits, 1: while its prompt is read, 4: while it is written.
  GenerationRequest first = a_request(a_prompt(600, 1), [](auto& c) { c.max_new_tokens = 50; });
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  GenerationResult result;
  const auto done = [&](GenerationResult&& ended) { result = std::move(ended); };
  if (GetParam() == 0) engine.submit(first, {});
  first.cancelled = cancelled;
  engine.submit(first, done);
  for (int i = 0; i < std::max(1, GetParam()); ++i) engine.step();
  EXPECT_EQ(result.finish_reason, FinishReason::none);
  cancelled->store(true);
  const auto drawn = engine.stats().generated_tokens;
  engine.step();
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  if (GetParam() > 0) {
    EXPECT_EQ(engine.stats().generated_tokens, drawn);
    EXPECT_EQ(engine.stats().kv_blocks_used, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Engine, CancelAt, testing::Values(0, 1, 6));

TEST(Engine, CallbacksMaySubmitFurtherRequests) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(50));
  int ended = 0;
  std::function<void(GenerationResult &&)> again = [&](GenerationResult&&) {
    if (++ended < 5) engine.submit(a_request({5}), again);
  };
  engine.submit(a_request({5}), again);
  while (engine.step()) {
  }
  EXPECT_EQ(ended, 5);
}

TEST(Engine, ALogitThatIsNotANumberEndsThatRequestOnly) {
  CountingModel model(kVocab);
  const auto honest = model.write;
  model.write = [&](const std::vector<int32_t>& ids, std::span<float> logits) {
    honest(ids, logits);
    if (ids.front() == 7 && ids.size() == 6) logits[3] = std::nanf("");
  };
  const auto results = run_all(model, with_blocks(50), {a_request({7, 8}), a_request({5, 8})});
  EXPECT_EQ(results[0].finish_reason, FinishReason::error);
  EXPECT_EQ(results[0].error, "sampling: the logit of token 3 is not a number");
  EXPECT_EQ(results[0].token_ids.size(), 4u);
  EXPECT_EQ(results[1].finish_reason, FinishReason::length);
}

}  // namespace
}  // namespace llm
