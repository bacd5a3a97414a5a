#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "serving/draft.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_request;
using test::kVocab;
using test::run_all;
using test::with_blocks;

/// Follows a cycle mostly, so that guesses are often, not always, right.
CountingModel cyclic_model(double noise) {
  CountingModel model(kVocab);
  model.write = [noise](const std::vector<int32_t>& ids, std::span<float> logits) {
    uint64_t key = 5;
    for (const int32_t id : ids) key = combine_keys(key, static_cast<uint64_t>(id));
    for (size_t i = 0; i < logits.size(); ++i)
      logits[i] = static_cast<float>(noise) * unit_float(CounterRandom(key).bits(i));
    logits[static_cast<size_t>(2 + (ids.back() + 1) % 7)] += 4;
  };
  return model;
}

using Make = std::function<std::unique_ptr<Drafter>(const GenerationRequest&)>;

void expect_same_text(const CountingModel& model, const Make& make, double least_accepted) {
  for (const double temperature : {0.0, 1.0}) {
    for (int64_t seed = 0; seed < 10; ++seed) {
      const auto plain = a_request({3, 4}, [&](auto& c) {
        c.max_new_tokens = 60, c.seed = seed, c.temperature = temperature;
        c.repetition_penalty = seed % 2 == 0 ? 1.0 : 1.1;
        c.return_logprobs = true;
      });
      auto config = *plain.config;
      config.num_speculative_tokens = 5;
      GenerationRequest guessing = plain;
      guessing.config = freeze(config, {.vocab_size = kVocab});
      EngineOptions options = with_blocks(100);
      options.make_drafter = make;
      EngineStats stats;
      const auto with = run_all(model, options, {guessing}, &stats)[0];
      const auto without = run_all(model, with_blocks(100), {plain})[0];
      EXPECT_EQ(with.token_ids, without.token_ids);
      EXPECT_EQ(with.logprobs, without.logprobs);
      EXPECT_EQ(with.text, without.text);
      EXPECT_EQ(stats.tokens_accepted, static_cast<uint64_t>(with.tokens_accepted));
      EXPECT_EQ(static_cast<int64_t>(stats.passes) + with.tokens_accepted, 60);
      EXPECT_GE(static_cast<double>(with.tokens_accepted),
                least_accepted * static_cast<double>(with.tokens_drafted));
    }
  }
}

TEST(Speculation, PromptLookupGivesTheSameTextInFewerPasses) {
  expect_same_text(
      cyclic_model(3), [](const auto&) { return make_ngram_drafter(); }, 0);
  const CountingModel exact = cyclic_model(0);
  EngineStats stats;
  run_all(exact, with_blocks(100),
          {a_request({3, 4},
                     [](auto& c) {
                       c.max_new_tokens = 60, c.num_speculative_tokens = 6, c.temperature = 0;
                     })},
          &stats);
  EXPECT_LT(stats.passes, 60u / 3);
}

TEST(Speculation, TheModelAsItsOwnDraftIsAlwaysRight) {
  const CountingModel model = cyclic_model(3);
  const Make make = [&](const GenerationRequest& request) {
    return make_model_drafter(model, request.config, request.sequence);
  };
  expect_same_text(model, make, 1.0);
}

TEST(Speculation, AnotherModelsGuessesChangeNothing) {
  const CountingModel model = cyclic_model(6), draft = cyclic_model(1);
  const Make make = [&](const GenerationRequest& request) {
    return make_model_drafter(draft, request.config, request.sequence);
  };
  expect_same_text(model, make, 0.05);
}

TEST(Speculation, ParallelDraftFillsMaskTokensTogether) {
  constexpr int32_t kMask = 4;
  CountingModel draft(kVocab);
  // Knows where a mask stands: counts on from the last token that is none.
  draft.write = [](const std::vector<int32_t>& ids, std::span<float> logits) {
    int32_t masks = 0;
    while (ids[ids.size() - 1 - static_cast<size_t>(masks)] == kMask) ++masks;
    int32_t id = ids[ids.size() - 1 - static_cast<size_t>(masks)];
    for (int32_t i = 0; i <= masks; ++i) id = 5 + (id + 1) % 7;
    std::fill(logits.begin(), logits.end(), 0.0f);
    logits[static_cast<size_t>(id)] = 9;
  };
  CountingModel model(kVocab);
  model.write = [](const std::vector<int32_t>& ids, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    logits[static_cast<size_t>(5 + (ids.back() + 1) % 7)] = 9;
  };
  const auto request = a_request(
      {6}, [](auto& c) { c.max_new_tokens = 61, c.num_speculative_tokens = 5, c.temperature = 0; });
  for (const auto& [at_once, draft_passes] : {std::pair{64, 1u}, {5, 1u}, {2, 3u}, {1, 5u}}) {
    EngineOptions options = with_blocks(100);
    options.make_drafter = [&, most = at_once](const auto&) {
      return make_parallel_drafter(draft, kMask, most);
    };
    draft.passes = 0;
    EngineStats stats;
    const auto result = run_all(model, options, {request}, &stats)[0];
    EXPECT_EQ(result.token_ids.size(), 61u);
    EXPECT_EQ(stats.passes,
              1u + 60 / 6);  // one to six tokens a pass: five right guesses and one more
    EXPECT_EQ(draft.passes, 60u / 6 * draft_passes) << at_once;
    EXPECT_EQ(result.tokens_accepted, result.tokens_drafted);
  }
}

/// What the four most probable tokens after `ids` share among them.
std::map<int32_t, double> top_four(const CountingModel& model, const std::vector<int32_t>& ids) {
  std::vector<float> logits(kVocab);
  model.write(ids, logits);
  std::vector<int32_t> order(kVocab);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  std::map<int32_t, double> shares;
  double sum = 0;
  for (int i = 0; i < 4; ++i)
    sum += shares[order[static_cast<size_t>(i)]] =
        std::exp(double{logits[static_cast<size_t>(order[static_cast<size_t>(i)])]});
  for (auto& [id, share] : shares) share /= sum;
  return shares;
}

TEST(Speculation, SampledTextsHaveTheModelsDistribution) {
  constexpr int kTexts = 4000;
  const CountingModel model = cyclic_model(4), draft = cyclic_model(2);
  std::vector<GenerationRequest> requests;
  for (int64_t seed = 0; seed < kTexts; ++seed)
    requests.push_back(a_request({3, 4}, [&](auto& c) {
      c.max_new_tokens = 4, c.seed = seed, c.num_speculative_tokens = 3;
      c.temperature = 1, c.top_p = 1, c.top_k = 4;
    }));
  EngineOptions options = with_blocks(1000);
  options.make_drafter = [&](const GenerationRequest& request) {
    return make_model_drafter(draft, request.config, request.sequence);
  };
  EngineStats stats;
  std::map<std::pair<int32_t, int32_t>, int> seen;
  for (const auto& result : run_all(model, options, requests, &stats))
    ++seen[{result.token_ids[0], result.token_ids[1]}];
  EXPECT_GT(stats.tokens_accepted, 500u);
  EXPECT_LT(stats.tokens_accepted, stats.tokens_drafted);
  double distance = 0, from_uniform = 0;  // chi-square with 15 degrees of freedom
  for (const auto& [first, share] : top_four(model, {3, 4})) {
    for (const auto& [second, next] : top_four(model, {3, 4, first})) {
      const double expected = kTexts * share * next, found = seen[{first, second}];
      distance += (found - expected) * (found - expected) / expected;
      from_uniform += (found - kTexts / 16.0) * (found - kTexts / 16.0) / (kTexts / 16.0);
    }
  }
  EXPECT_EQ(seen.size(), 16u);
  EXPECT_LT(distance, 37.7);  // beyond it lies one case in a thousand
  EXPECT_GT(from_uniform, 377);
}

TEST(Speculation, NgramsFindTheMostRecentLongestMatch) {
  const auto drafter = make_ngram_drafter(3);
  EXPECT_EQ(drafter->draft(std::vector<int32_t>{1, 2, 3, 4, 9, 2, 3}, 2),
            (std::vector<int32_t>{4, 9}));
  EXPECT_EQ(drafter->draft(std::vector<int32_t>{1, 2, 3, 4, 9, 2, 3, 5, 2, 3}, 2),
            (std::vector<int32_t>{5, 2}));
  EXPECT_EQ(drafter->draft(std::vector<int32_t>{1, 2, 3, 4, 9, 2, 3, 5, 2, 3, 7}, 2),
            (std::vector<int32_t>{}));
}

}  // namespace
}  // namespace llm
