#include "serving/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/random.h"

namespace llm {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

FrozenGenerationConfig frozen(const std::function<void(GenerationConfig&)>& change,
                              int64_t vocab_size = 1000) {
  GenerationConfig config;
  config.temperature = 1;
  config.seed = 11;
  change(config);
  return freeze(config, {.vocab_size = vocab_size});
}

std::vector<float> random_logits(int64_t count, uint64_t seed, double spread = 3) {
  Random random(seed);
  std::vector<float> logits;
  for (int64_t i = 0; i < count; ++i)
    logits.push_back(static_cast<float>(spread * random.normal()));
  return logits;
}

std::vector<int32_t> ids_after(const Candidates& candidates) { return candidates.ids; }

TEST(Sampler, RepetitionPenaltyDividesPositiveAndMultipliesNegativeLogits) {
  std::vector<float> logits = {3.0f, -3.0f, 1.0f, 0.0f, 2.0f};
  const std::vector<int32_t> seen = {0, 1, 3};
  apply_repetition_penalty(logits, seen, 1.5);
  EXPECT_EQ(logits, (std::vector<float>{2.0f, -4.5f, 1.0f, 0.0f, 2.0f}));
}

TEST(Sampler, FrequencyAndPresencePenaltiesAreSubtracted) {
  std::vector<float> logits = {1.0f, 1.0f, 1.0f};
  const std::vector<std::pair<int32_t, int32_t>> counts = {{0, 3}, {2, 1}};
  apply_count_penalties(logits, counts, 0.5, 0.25);
  EXPECT_EQ(logits, (std::vector<float>{1.0f - 1.75f, 1.0f, 0.25f}));
}

TEST(Sampler, TopKKeepsTheKLargestAndSettlesTiesByTheLowerId) {
  const std::vector<float> logits = {1, 5, 3, 5, 3, 0};
  EXPECT_EQ(ids_after(take_top_k(logits, 1)), (std::vector<int32_t>{1}));
  EXPECT_EQ(ids_after(take_top_k(logits, 2)), (std::vector<int32_t>{1, 3}));
  EXPECT_EQ(ids_after(take_top_k(logits, 3)), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(ids_after(take_top_k(logits, 0)).size(), 6u);
  EXPECT_EQ(ids_after(take_top_k(logits, 99)).size(), 6u);
}

TEST(Sampler, TopKAgreesWithASortForManyShapes) {
  for (const int64_t vocab : {3, 70, 1000, 5000}) {
    for (const int64_t k : {1, 2, 40, 64, 999}) {
      std::vector<float> logits = random_logits(vocab, static_cast<uint64_t>(vocab * 1000 + k));
      for (float& x : logits) x = std::round(x * 4) / 4;  // many ties
      std::vector<int32_t> order(static_cast<size_t>(vocab));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
        return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
      });
      order.resize(static_cast<size_t>(std::min(k, vocab)));
      std::sort(order.begin(), order.end());
      EXPECT_EQ(take_top_k(logits, k).ids, order) << vocab << " " << k;
    }
  }
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesP) {
  // probabilities 0.5, 0.25, 0.125, 0.125
  const std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0.0f, 0.0f};
  const auto kept = [&](double p) {
    Candidates candidates = take_top_k(logits, 0);
    std::vector<double> weights = weights_of(candidates);
    keep_top_p(candidates, weights, p);
    EXPECT_EQ(weights.size(), candidates.ids.size());
    return candidates.ids;
  };
  EXPECT_EQ(kept(0.0), (std::vector<int32_t>{0}));
  EXPECT_EQ(kept(0.49), (std::vector<int32_t>{0}));
  EXPECT_EQ(kept(0.6), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(kept(0.8), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(kept(0.9), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(kept(1.0), (std::vector<int32_t>{0, 1, 2, 3}));
}

TEST(Sampler, TopPAgreesWithAFullSort) {
  for (const double p : {0.1, 0.5, 0.9, 0.99, 0.9999}) {
    Candidates candidates = take_top_k(random_logits(3000, 5, 1.5), 0);
    std::vector<double> weights = weights_of(candidates);
    std::vector<double> sorted = weights;
    std::sort(sorted.rbegin(), sorted.rend());
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    size_t expected = 0;
    for (double sum = 0; sum < p * total; ++expected) sum += sorted[expected];
    keep_top_p(candidates, weights, p);
    EXPECT_EQ(weights.size(), expected) << p;
    EXPECT_GE(*std::min_element(weights.begin(), weights.end()), sorted[expected]) << p;
  }
}

TEST(Sampler, MinPKeepsAShareOfTheBest) {
  const std::vector<float> logits = {std::log(10.0f), std::log(5.0f), std::log(0.9f)};
  Candidates candidates = take_top_k(logits, 0);
  std::vector<double> weights = weights_of(candidates);
  keep_min_p(candidates, weights, 0.1);
  EXPECT_EQ(candidates.ids, (std::vector<int32_t>{0, 1}));
}

TEST(Sampler, DrawPicksTheShareThatHoldsTheNumber) {
  const std::vector<double> weights = {1, 0, 2, 1};
  EXPECT_EQ(draw(weights, 0.0), 0u);
  EXPECT_EQ(draw(weights, 0.2499), 0u);
  EXPECT_EQ(draw(weights, 0.25), 2u);
  EXPECT_EQ(draw(weights, 0.7499), 2u);
  EXPECT_EQ(draw(weights, 0.75), 3u);
  EXPECT_EQ(draw(weights, std::nextafter(1.0, 0.0)), 3u);
}

// The order matters: temperature before top_p (a sharper distribution needs fewer tokens), top_k
// before top_p (shares are of what is left), penalties before temperature. Each case gives another
// set in any other order.
TEST(Sampler, StepsRunInTheDocumentedOrder) {
  const auto possible = [](const std::vector<float>& logits, const std::vector<int32_t>& prompt,
                           const std::function<void(GenerationConfig&)>& change) {
    std::set<int32_t> ids;
    for (int64_t sequence = 0; sequence < 400; ++sequence) {
      ids.insert(Sampler(frozen(change, static_cast<int64_t>(logits.size())), prompt,
                         static_cast<int64_t>(logits.size()), sequence)
                     .next(logits)
                     .id);
    }
    return ids;
  };
  const std::vector<float> quarters = {std::log(4.0f), std::log(3.0f), std::log(2.0f),
                                       std::log(1.0f)};  // 0.4 0.3 0.2 0.1
  // top_p 0.6 alone needs two of (0.4, 0.3, ...); at temperature 0.5 the shares are 16:9:4:1 and
  // two are needed for 0.6, one for 0.5.
  EXPECT_EQ(possible(quarters, {}, [](auto& c) { c.top_p = 0.5; }), (std::set<int32_t>{0, 1}));
  EXPECT_EQ(possible(quarters, {}, [](auto& c) { c.top_p = 0.5, c.temperature = 0.5; }),
            (std::set<int32_t>{0}));
  // After top_k = 2 the shares are 4/7 and 3/7: 0.57 is reached by one. In the other order top_p
  // keeps two and top_k does not shrink them.
  EXPECT_EQ(possible(quarters, {}, [](auto& c) { c.top_p = 0.57, c.top_k = 2; }),
            (std::set<int32_t>{0}));
  // min_p is a share of the best after temperature: at temperature 0.5, 9/16 < 0.6.
  EXPECT_EQ(possible(quarters, {}, [](auto& c) { c.min_p = 0.6; }), (std::set<int32_t>{0, 1}));
  EXPECT_EQ(possible(quarters, {}, [](auto& c) { c.min_p = 0.6, c.temperature = 0.5; }),
            (std::set<int32_t>{0}));
  // The penalty comes before everything: the best token falls behind and top_k = 1 takes the
  // second.
  EXPECT_EQ(possible(quarters, {0}, [](auto& c) { c.repetition_penalty = 2.0, c.top_k = 1; }),
            (std::set<int32_t>{1}));
  // ... and before temperature: the penalty divides the raw logit; subtracting after the division
  // would be another distance.
  const auto log_odds = [](double temperature, double frequency) {
    Sampler sampler(frozen(
                        [&](auto& c) {
                          c.temperature = temperature, c.frequency_penalty = frequency,
                          c.return_probs = true, c.top_k = 2;
                        },
                        2),
                    {}, 2);
    const std::vector<float> sure = {50, 0}, even = {1, 0};
    EXPECT_EQ(sampler.next(sure).id, 0);
    const TokenChoice choice = sampler.next(even);
    const double p0 = choice.id == 0 ? choice.probability : 1 - choice.probability;
    return std::log(p0 / (1 - p0));
  };
  EXPECT_NEAR(log_odds(0.5, 0.25), (1 - 0.25) / 0.5, 1e-6);
}

TEST(Sampler, ChosenIdsAreAlwaysAmongThoseTheFiltersLeave) {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    const auto vocab = static_cast<int64_t>(1 + random.below(200));
    const std::vector<float> logits = random_logits(vocab, static_cast<uint64_t>(round));
    const auto config = frozen(
        [&](auto& c) {
          c.temperature = 0.01 + 1.9 * random.uniform();
          c.top_k = static_cast<int64_t>(random.below(250));
          c.top_p = random.uniform();
          c.min_p = random.uniform();
          c.seed = round;
        },
        vocab);
    std::vector<float> scaled = logits;
    apply_temperature(scaled, config->temperature);
    Candidates candidates = take_top_k(scaled, config->top_k);
    std::vector<double> weights = weights_of(candidates);
    keep_top_p(candidates, weights, config->top_p);
    keep_min_p(candidates, weights, config->min_p);
    const int32_t id = Sampler(config, {}, vocab).next(logits).id;
    EXPECT_TRUE(std::binary_search(candidates.ids.begin(), candidates.ids.end(), id)) << round;
  }
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  std::vector<int> counts(3);
  Sampler sampler(frozen([](auto&) {}, 3), {}, 3);
  constexpr int kDraws = 30000;
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<size_t>(sampler.next(logits).id)];
  EXPECT_NEAR(counts[0], 0.5 * kDraws, 300);
  EXPECT_NEAR(counts[1], 0.3 * kDraws, 300);
  EXPECT_NEAR(counts[2], 0.2 * kDraws, 300);
}

TEST(Sampler, SameSeedGivesTheSameDrawsAndSequencesDiffer) {
  const std::vector<float> logits = random_logits(500, 1);
  const auto ids = [&](int64_t seed, int64_t sequence) {
    Sampler sampler(frozen([&](auto& c) { c.seed = seed; }), {}, 500, sequence);
    std::vector<int32_t> drawn;
    for (int i = 0; i < 20; ++i) drawn.push_back(sampler.next(logits).id);
    return drawn;
  };
  EXPECT_EQ(ids(5, 0), ids(5, 0));
  EXPECT_NE(ids(5, 0), ids(6, 0));
  EXPECT_NE(ids(5, 0), ids(5, 1));
}

TEST(Sampler, GreedyFastPathEqualsTheSlowPath) {
  for (uint64_t round = 0; round < 200; ++round) {
    std::vector<float> logits = random_logits(300, round);
    logits[7] = logits[200] = 50;  // a tie
    const auto id_with = [&](const std::function<void(GenerationConfig&)>& change) {
      return Sampler(frozen(change), {}, 300).next(logits).id;
    };
    const int32_t slow = id_with([](auto& c) { c.top_k = 1; });
    EXPECT_EQ(id_with([](auto& c) { c.temperature = 0; }), slow);
    EXPECT_EQ(id_with([](auto& c) { c.do_sample = false; }), slow);
    EXPECT_EQ(id_with([](auto& c) { c.temperature = 1e-6, c.top_k = 5; }), slow);
    EXPECT_EQ(slow, 7);
  }
}

TEST(Sampler, PenaltiesApplyToGreedyChoicesToo) {
  const std::vector<float> logits = {2.0f, 1.9f, -1.0f};
  const auto config = frozen([](auto& c) { c.do_sample = false, c.repetition_penalty = 1.2; }, 3);
  Sampler sampler(config, {}, 3);
  EXPECT_EQ(sampler.next(logits).id, 0);
  EXPECT_EQ(sampler.next(logits).id, 1);  // 0 is at 1.67 now
  EXPECT_EQ(sampler.next(logits).id, 0);  // 1 is at 1.58
}

TEST(Sampler, RepetitionPenaltyCountsThePromptButNotItsPads) {
  const std::vector<float> logits = {2.0f, 1.9f, 1.8f};
  const auto next_after = [&](std::vector<int32_t> prompt) {
    const auto config = frozen(
        [](auto& c) { c.do_sample = false, c.repetition_penalty = 1.2, c.pad_token_id = 0; }, 3);
    return Sampler(config, prompt, 3).next(logits).id;
  };
  EXPECT_EQ(next_after({0, 0, 0}), 0);  // pads are left alone
  EXPECT_EQ(next_after({0, 1}), 0);
  const auto config = frozen([](auto& c) { c.do_sample = false, c.repetition_penalty = 1.2; }, 3);
  EXPECT_EQ(Sampler(config, std::vector<int32_t>{0, 0, 0}, 3).next(logits).id,
            1);  // no pad id: 0 is an ordinary token
}

TEST(Sampler, MinNewTokensMasksEveryEosId) {
  const std::vector<float> logits = {9.0f, 8.0f, 1.0f};
  Sampler sampler(frozen(
                      [](auto& c) {
                        c.do_sample = false, c.min_new_tokens = 2, c.eos_token_id = {0, 1};
                      },
                      3),
                  {}, 3);
  EXPECT_EQ(sampler.next(logits).id, 2);
  EXPECT_EQ(sampler.next(logits).id, 2);
  EXPECT_EQ(sampler.next(logits).id, 0);
}

TEST(Sampler, InfiniteLogitsAreCertainOrImpossible) {
  std::vector<float> logits = {1.0f, kInfinity, -kInfinity, kInfinity};
  std::map<int32_t, int> counts;
  for (int64_t sequence = 0; sequence < 400; ++sequence)
    ++counts[Sampler(frozen([](auto&) {}, 4), {}, 4, sequence).next(logits).id];
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_GT(counts[1], 140);
  EXPECT_GT(counts[3], 140);
  EXPECT_EQ(argmax(logits), 1);
  logits = {-kInfinity, -kInfinity, 0.5f, -kInfinity};
  EXPECT_EQ(Sampler(frozen([](auto&) {}, 4), {}, 4).next(logits).id, 2);
}

TEST(Sampler, NanAndNothingPossibleAreNumericalErrors) {
  const auto code_of = [](std::vector<float> logits, bool sample) {
    try {
      Sampler(frozen([&](auto& c) { c.do_sample = sample; }, 3), {}, 3).next(logits);
    } catch (const Error& error) {
      return error.code();
    }
    return Exit::ok;
  };
  for (const bool sample : {true, false}) {
    EXPECT_EQ(code_of({1.0f, std::nanf(""), 2.0f}, sample), Exit::numerical);
    EXPECT_EQ(code_of({std::nanf(""), 1.0f, 2.0f}, sample), Exit::numerical);
    EXPECT_EQ(code_of({-kInfinity, -kInfinity, -kInfinity}, sample), Exit::numerical);
  }
}

TEST(Sampler, LogprobsAreThoseOfTheRawDistribution) {
  const std::vector<float> logits = {std::log(0.7f), std::log(0.2f), std::log(0.1f)};
  Sampler sampler(frozen(
                      [](auto& c) {
                        c.temperature = 0.1, c.top_k = 1, c.repetition_penalty = 5,
                        c.return_logprobs = true, c.return_probs = true;
                      },
                      3),
                  std::vector<int32_t>{2}, 3);
  const TokenChoice choice = sampler.next(logits);
  EXPECT_NEAR(choice.logprob,
              std::log(std::vector<double>{0.7, 0.2, 0.1}[static_cast<size_t>(choice.id)]), 1e-6);
  EXPECT_EQ(choice.probability, 1.0);  // all that top_k = 1 left
}

/// Every way to choose, over 8 rows of which 5 are tokens.
TEST(Sampler, RowsThatNoTokenHasAreNeverChosen) {
  const std::vector<float> logits = {1, 2, 3, 2, 1, 9, 9, 9};
  const std::vector<uint32_t> all = {0xFFu};
  const auto make = [](const std::function<void(GenerationConfig&)>& change) {
    GenerationConfig config;
    config.temperature = 1;
    config.seed = 11;
    change(config);
    return freeze(config, {.vocab_size = 8, .tokens = 5});
  };
  const std::vector<std::function<void(GenerationConfig&)>> ways = {
      [](GenerationConfig& c) { c.do_sample = false; },
      [](GenerationConfig&) {},
      [](GenerationConfig& c) { c.temperature = 0.7; },
      [](GenerationConfig& c) { c.top_k = 4, c.top_p = 0.95; },
      [](GenerationConfig& c) {
        c.logit_bias = {{6, 50.0}}, c.temperature = 0.7;
      },
      [](GenerationConfig& c) { c.repetition_penalty = 1.5, c.frequency_penalty = 0.5; }};
  for (size_t way = 0; way < ways.size(); ++way) {
    Sampler sampler(make(ways[way]), std::vector<int32_t>{7, 2}, 8);
    for (int i = 0; i < 100; ++i) {
      EXPECT_LT(sampler.next(logits, i % 2 == 0 ? std::span<const uint32_t>() : all).id, 5) << way;
    }
    EXPECT_EQ(sampler.adjusted(logits).size(), 5u) << way;
  }
  Sampler greedy(make([](GenerationConfig& c) {
                   c.do_sample = false;
                   c.return_logprobs = true;
                   c.top_logprobs = 1;
                 }),
                 {}, 8);
  const TokenChoice choice = greedy.next(logits);
  EXPECT_EQ(choice.id, 2);
  EXPECT_EQ(choice.logprob, log_probability(logits, 2));  // of the raw distribution
  EXPECT_EQ(choice.top.front().id, 5);
}

}  // namespace
}  // namespace llm
