#include "serving/beam_generation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "serving/sampler.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::run_all;
using test::with_blocks;

constexpr int64_t kFew = 5;

GenerationRequest beams(
    int64_t width, int64_t length,
    const std::function<void(GenerationConfig&)>& change = [](auto&) {}) {
  GenerationConfig config;
  config.max_new_tokens = length;
  config.num_beams = width;
  config.seed = 1;
  config.return_logprobs = true;
  config.do_sample = false;
  change(config);
  GenerationRequest request;
  request.prompt_ids = {1, 2};
  request.config = freeze(config, {.vocab_size = kFew});
  return request;
}

double logprob_of(const CountingModel& model, const std::vector<int32_t>& text) {
  std::vector<int32_t> ids = {1, 2};
  std::vector<float> logits(kFew);
  double sum = 0;
  for (const int32_t id : text) {
    model.write(ids, logits);
    sum += log_probability(logits, id);
    ids.push_back(id);
  }
  return sum;
}

/// Of all texts of `length` tokens, and of those that token 0 ends before, by score.
std::vector<std::pair<double, std::vector<int32_t>>> all_texts(const CountingModel& model,
                                                               size_t length, double penalty,
                                                               bool ends) {
  std::vector<std::vector<int32_t>> texts = {{}}, done;
  for (size_t i = 0; i < length; ++i) {
    std::vector<std::vector<int32_t>> longer;
    for (const auto& text : texts) {
      for (int32_t id = 0; id < kFew; ++id) {
        auto next = text;
        next.push_back(id);
        (ends && id == 0 ? done : longer).push_back(std::move(next));
      }
    }
    texts = std::move(longer);
  }
  done.insert(done.end(), texts.begin(), texts.end());
  std::vector<std::pair<double, std::vector<int32_t>>> scored;
  for (const auto& text : done)
    scored.emplace_back(
        logprob_of(model, text) / std::pow(static_cast<double>(text.size()), penalty), text);
  std::sort(scored.rbegin(), scored.rend());
  return scored;
}

TEST(BeamSearch, WideBeamIsTheExhaustiveArgmax) {
  const CountingModel model(kFew);
  for (const double penalty : {0.0, 1.0, 2.0}) {
    for (const bool ends : {false, true}) {
      const auto request = beams(64, 3, [&](auto& c) {
        c.length_penalty = penalty, c.num_return_sequences = 4;
        if (ends) c.eos_token_id = {0};
      });
      const auto result = run_all(model, with_blocks(300), {request})[0];
      const auto expected = all_texts(model, 3, penalty, ends);
      EXPECT_EQ(result.token_ids, expected[0].second);
      EXPECT_NEAR(result.score, expected[0].first, 1e-9);
      ASSERT_EQ(result.others.size(), 3u);
      for (size_t i = 0; i < 3; ++i)
        EXPECT_NEAR(result.others[i].score, expected[i + 1].first, 1e-9);
    }
  }
}

TEST(BeamSearch, OneBeamIsGreedy) {
  const CountingModel model(kFew);
  const auto request = beams(1, 12);
  ConstraintThread thread;
  BeamGeneration beam(request, {}, kFew, thread, Generation::Clock::now());
  struct Source final : SequenceSource {
    const CountingModel& model;
    explicit Source(const CountingModel& counting) : model(counting) {}
    std::unique_ptr<TokenSequence> start(std::span<const int32_t>, int64_t capacity, bool,
                                         const ModelAdapterPtr&) override {
      return model.start(capacity);
    }
  } source(model);
  std::vector<float> logits(kFew);
  while (!beam.finished()) {
    std::vector<TokenSegment> pass;
    ASSERT_TRUE(beam.plan(100, source, pass));
    model.forward(pass, logits);
    beam.take(logits);
  }
  const auto greedy = run_all(model, with_blocks(10), {request})[0];
  EXPECT_EQ(beam.release().token_ids, greedy.token_ids);
  EXPECT_EQ(greedy.token_ids.size(), 12u);
}

TEST(BeamSearch, MoreBeamsNeverScoreWorseThanGreedyHere) {
  const CountingModel model(kFew);
  const auto greedy = run_all(model, with_blocks(10), {beams(1, 8)})[0];
  const auto wide = run_all(model, with_blocks(100), {beams(8, 8)})[0];
  EXPECT_GE(logprob_of(model, wide.token_ids), logprob_of(model, greedy.token_ids));
  double sum = 0;
  for (const double logprob : wide.logprobs) sum += logprob;
  EXPECT_NEAR(sum, logprob_of(model, wide.token_ids), 1e-9);
}

TEST(BeamSearch, EarlyStoppingEndsWithTheFirstFinishedTexts) {
  CountingModel model(kFew);
  // Two texts end within two tokens; a better one needs five.
  model.write = [](const std::vector<int32_t>& ids, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    if (ids.size() <= 3) logits[0] = 1, logits[3] = 1.5f;
    if (ids.size() > 3) logits[ids.size() == 6 ? 0 : 3] = 9;
  };
  const auto text = [&](bool early) {
    const auto request = beams(2, 10, [&](auto& c) {
      c.eos_token_id = {0}, c.early_stopping = early, c.length_penalty = 1;
    });
    return run_all(model, with_blocks(100), {request})[0].token_ids;
  };
  EXPECT_EQ(text(false), (std::vector<int32_t>{3, 3, 3, 3, 0}));
  EXPECT_EQ(text(true), (std::vector<int32_t>{3, 0}));
}

TEST(BeamSearch, TheLogProbabilitiesOfThePromptAreThoseOfTheModel) {
  const CountingModel model(kFew);
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 70; ++i) prompt.push_back((i * 7 + i / 5) % kFew);
  for (const int64_t length : {0, 3}) {
    const auto asked = [&](int64_t width) {
      auto request = beams(width, length, [](auto& c) {
        c.return_input_logprobs = true, c.top_logprobs = 2, c.num_return_sequences = 2;
      });
      request.prompt_ids = prompt;
      return request;
    };
    const auto plain = run_all(model, with_blocks(100), {asked(1)})[0];
    ASSERT_EQ(plain.input_logprobs.size(), prompt.size() - 1);
    EngineOptions in_pieces = with_blocks(100);
    in_pieces.prefill_chunk = 9;
    for (const EngineOptions& options : {with_blocks(100), in_pieces}) {
      // The second finds the beginning of the first in the cache, and reads it all the same.
      for (const auto& result : run_all(model, options, {asked(3), asked(3)})) {
        ASSERT_EQ(result.others.size(), 1u);
        for (const GenerationResult* text : {&result, &result.others[0]}) {
          EXPECT_EQ(text->input_logprobs, plain.input_logprobs);
          EXPECT_EQ(text->input_top_logprobs, plain.input_top_logprobs);
          EXPECT_EQ(std::ssize(text->token_ids), length);
        }
      }
    }
  }
}

TEST(BeamSearch, EachPlaceHasItsMostProbableTokens) {
  const CountingModel model(kFew);
  const auto request = beams(3, 6, [](auto& c) { c.top_logprobs = 2, c.num_return_sequences = 3; });
  const auto result = run_all(model, with_blocks(100), {request})[0];
  ASSERT_EQ(result.others.size(), 2u);
  for (const GenerationResult* text : {&result, &result.others[0], &result.others[1]}) {
    ASSERT_EQ(text->top_logprobs.size(), 6u);
    std::vector<int32_t> ids = request.prompt_ids;
    std::vector<float> logits(kFew);
    for (size_t i = 0; i < 6; ++i) {
      model.write(ids, logits);
      EXPECT_EQ(text->top_logprobs[i], top_log_probabilities(logits, 2));
      EXPECT_EQ(text->logprobs[i], log_probability(logits, text->token_ids[i]));
      ids.push_back(text->token_ids[i]);
    }
  }
}

TEST(BeamSearch, AKnownBeginningIsCounted) {
  const CountingModel model(kFew);
  Engine engine(model, with_blocks(100));
  std::vector<int64_t> cached;
  for (const int64_t width : {1, 3}) {
    auto next = beams(width, 4);
    next.prompt_ids.assign(70, 1);
    engine.submit(std::move(next), [&](GenerationResult&& result) {
      cached.push_back(result.prompt_tokens_cached);
    });
    while (engine.step()) {
    }
  }
  EXPECT_EQ(cached, (std::vector<int64_t>{0, 64}));
}

TEST(BeamSearch, ShortMemoryChangesNoText) {
  const CountingModel model(kFew);
  const auto request = beams(4, 60);
  EngineStats stats;
  const auto roomy = run_all(model, with_blocks(100), {request})[0];
  const auto tight = run_all(model, with_blocks(12), {request, request, request}, &stats);
  for (const auto& result : tight) EXPECT_EQ(result.token_ids, roomy.token_ids);
}

}  // namespace
}  // namespace llm
