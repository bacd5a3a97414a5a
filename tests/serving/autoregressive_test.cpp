#include "serving/autoregressive.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "serving/sampler.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_request;
using test::kVocab;

GenerationResult generate_alone(const TokenModel& model, const GenerationRequest& one) {
  return Autoregressive(model).generate({&one, 1})[0];
}

TEST(Autoregressive, BatchedEqualsAlone) {
  const CountingModel model(kVocab);
  std::vector<GenerationRequest> requests;
  for (int32_t i = 0; i < 9; ++i) {
    requests.push_back(
        a_request(std::vector<int32_t>(static_cast<size_t>(1 + i % 4), 5 + i), [&](auto& c) {
          c.max_new_tokens = 3 + 4 * (i % 3);
          c.seed = i;
          c.eos_token_id = {9};
        }));
  }
  for (const int64_t max_batch : {1, 2, 4, 16}) {
    const std::vector<GenerationResult> together =
        Autoregressive(model, max_batch).generate(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      const GenerationResult alone = generate_alone(model, requests[i]);
      EXPECT_EQ(together[i].token_ids, alone.token_ids) << i;
      EXPECT_EQ(together[i].text, alone.text) << i;
      EXPECT_EQ(together[i].finish_reason, alone.finish_reason) << i;
    }
  }
  EXPECT_EQ(model.largest_batch, 9u);
}

TEST(Autoregressive, ATextEndsWhereItsReaderSaysThatItIsComplete) {
  const CountingModel model(kVocab);
  for (const int64_t drafted : {0, 4}) {
    GenerationRequest request = a_request({5, 6}, [&](auto& c) {
      c.num_speculative_tokens = drafted;
      c.temperature = 0;
    });
    const GenerationResult whole = generate_alone(model, request);
    ASSERT_EQ(whole.token_ids.size(), 12u);
    std::string read;
    request.is_complete = [&](std::string_view piece) { return (read += piece).size() >= 5; };
    const GenerationResult part = generate_alone(model, request);
    EXPECT_EQ(part.token_ids, std::vector(whole.token_ids.begin(), whole.token_ids.begin() + 5));
    EXPECT_EQ(part.text, whole.text.substr(0, 5));
    EXPECT_EQ(read, part.text);
    EXPECT_EQ(part.finish_reason, FinishReason::stop);
  }
}

TEST(Autoregressive, SameSeedGivesTheSameTextAndAnotherSeedAnother) {
  const CountingModel model(kVocab);
  const auto text = [&](int64_t seed) {
    return generate_alone(model, a_request({5}, [&](auto& c) { c.seed = seed; })).text;
  };
  EXPECT_EQ(text(1), text(1));
  EXPECT_NE(text(1), text(2));
}

TEST(Autoregressive, TemperatureZeroIsArgmaxOfEveryStep) {
  const CountingModel model(kVocab);
  const GenerationResult result =
      generate_alone(model, a_request({5, 6}, [](auto& c) { c.temperature = 0; }));
  std::vector<int32_t> ids = {5, 6};
  std::vector<float> logits(kVocab);
  for (const int32_t id : result.token_ids) {
    model.write(ids, logits);
    EXPECT_EQ(id, argmax(logits));
    ids.push_back(id);
  }
  EXPECT_EQ(result.token_ids.size(), 12u);
}

TEST(Autoregressive, EndOfTextStopsAndIsAmongTheIdsButNotInTheText) {
  const CountingModel model = reciting_model({10, 11, 1, 12}, kVocab, 1);
  const GenerationResult result =
      generate_alone(model, a_request({5}, [](auto& c) { c.eos_token_id = {1}; }));
  EXPECT_EQ(result.token_ids, (std::vector<int32_t>{10, 11, 1}));
  EXPECT_EQ(result.text, "KL");
  EXPECT_EQ(result.finish_reason, FinishReason::stop);
}

TEST(Autoregressive, IgnoreEosGoesOnToTheLength) {
  const CountingModel model = reciting_model({10, 1, 12, 13, 14}, kVocab, 1);
  const GenerationResult result = generate_alone(model, a_request({5}, [](auto& c) {
                                                   c.eos_token_id = {1}, c.ignore_eos = true,
                                                   c.max_new_tokens = 4;
                                                 }));
  EXPECT_EQ(result.token_ids, (std::vector<int32_t>{10, 1, 12, 13}));
  EXPECT_EQ(result.finish_reason, FinishReason::length);
}

TEST(Autoregressive, AStopStringAcrossTokensEndsTheText) {
  const CountingModel model = reciting_model({10, 11, 12, 13}, kVocab, 1);
  const GenerationResult result =
      generate_alone(model, a_request({5}, [](auto& c) { c.stop_strings = {"LM"}; }));
  EXPECT_EQ(result.token_ids, (std::vector<int32_t>{10, 11, 12}));
  EXPECT_EQ(result.text, "K");
  EXPECT_EQ(result.finish_reason, FinishReason::stop_string);
}

TEST(Autoregressive, AStopStringDoesNotEndATextBeforeItsLeastLength) {
  const CountingModel model = reciting_model({10, 11, 12, 13, 1}, kVocab, 1);
  for (const int64_t beams : {1, 2}) {
    const auto text = [&](int64_t least) {
      return generate_alone(model, a_request({5}, [&](auto& c) {
                              c.stop_strings = {"LM"}, c.min_new_tokens = least;
                              c.eos_token_id = {1}, c.num_beams = beams;
                            }));
    };
    EXPECT_EQ(text(2).text, "K");
    EXPECT_EQ(text(3).text, "KLMN");
    EXPECT_EQ(text(3).finish_reason, FinishReason::stop);
  }
}

TEST(Autoregressive, StreamedPiecesAddUpToTheText) {
  const CountingModel model(kVocab);
  for (const char* stop : {"Z", "QR", "nothing"}) {
    for (int64_t seed = 0; seed < 20; ++seed) {
      GenerationRequest one = a_request({5}, [&](auto& c) {
        c.stop_strings = {stop, "ab"}, c.seed = seed;
      });
      std::string streamed;
      std::vector<int32_t> ids;
      bool ended = false;
      one.on_token = [&](const TokenEvent& event) {
        EXPECT_FALSE(ended);
        ended = event.id < 0;
        if (event.id >= 0) ids.push_back(event.id);
        streamed += event.text;
        return true;
      };
      const GenerationResult result = generate_alone(model, one);
      EXPECT_TRUE(ended);
      EXPECT_EQ(streamed, result.text);
      EXPECT_EQ(ids, result.token_ids);
    }
  }
}

TEST(Autoregressive, ARequestCanBeCancelledBetweenTokens) {
  const CountingModel model(kVocab);
  GenerationRequest one = a_request({5});
  int count = 0;
  one.on_token = [&](const TokenEvent&) { return ++count < 3; };
  const GenerationResult result = generate_alone(model, one);
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_EQ(result.token_ids.size(), 3u);
}

TEST(Autoregressive, NoNewTokensGivesAnEmptyText) {
  const CountingModel model(kVocab);
  const GenerationResult result =
      generate_alone(model, a_request({5}, [](auto& c) { c.max_new_tokens = 0; }));
  EXPECT_TRUE(result.token_ids.empty());
  EXPECT_EQ(result.text, "");
  EXPECT_EQ(result.finish_reason, FinishReason::length);
}

TEST(Autoregressive, SequencesOfOneRequestDiffer) {
  const CountingModel model(kVocab);
  GenerationRequest a = a_request({5}), b = a;
  b.sequence = 1;
  EXPECT_NE(generate_alone(model, a).text, generate_alone(model, b).text);
}

TEST(Autoregressive, InputLogprobsAreThoseOfThePromptsTokens) {
  const CountingModel model(kVocab);
  const GenerationResult result =
      generate_alone(model, a_request({5, 8, 6}, [](auto& c) { c.return_input_logprobs = true; }));
  ASSERT_EQ(result.input_logprobs.size(), 2u);
  std::vector<float> logits(kVocab);
  model.write({5}, logits);
  EXPECT_EQ(result.input_logprobs[0], log_probability(logits, 8));
  model.write({5, 8}, logits);
  EXPECT_EQ(result.input_logprobs[1], log_probability(logits, 6));
  EXPECT_EQ(result.token_ids, generate_alone(model, a_request({5, 8, 6})).token_ids);
}

std::string refusal(const TokenModel& model, const GenerationRequest& one) {
  try {
    Autoregressive(model).generate({&one, 1});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    return error.message();
  }
  return "";
}

TEST(Autoregressive, UnsuitablePromptsAreRefused) {
  const CountingModel model(kVocab, 16);
  EXPECT_EQ(refusal(model, a_request(
                               {}, [](auto&) {}, 16)),
            "prompt is empty: at least one token is needed");
  EXPECT_EQ(refusal(model, a_request(
                               {1, 50}, [](auto&) {}, 16)),
            "prompt[1] = 50 is not below vocab_size 50");
  EXPECT_EQ(refusal(model, a_request(
                               {1, -2}, [](auto&) {}, 16)),
            "prompt[1] = -2 is not below vocab_size 50");
}

TEST(ContextPolicy, ErrorRefusesAnOverlongPromptAndEndsAtTheContext) {
  const CountingModel model(kVocab, 16);
  EXPECT_EQ(refusal(model, a_request(
                               std::vector<int32_t>(20, 5), [](auto&) {}, 16)),
            "prompt is 20 tokens; this model's context is 16 with the answer");
  EXPECT_EQ(refusal(model, a_request(
                               std::vector<int32_t>(16, 5), [](auto&) {}, 16)),
            "prompt is 16 tokens; this model's context is 16 with the answer");
  const GenerationResult result =
      generate_alone(model, a_request(
                                std::vector<int32_t>(10, 5), [](auto&) {}, 16));
  EXPECT_EQ(result.token_ids.size(), 6u);  // 10 + 6 = 16
  EXPECT_EQ(result.finish_reason, FinishReason::length);
  EXPECT_EQ(model.largest_length, 15) << "the last one is never read";
}

TEST(ContextPolicy, TruncateLeftEqualsThePromptThatFits) {
  const CountingModel model(kVocab, 16);
  std::vector<int32_t> prompt;
  for (int32_t i = 0; i < 20; ++i) prompt.push_back(5 + i);
  const auto truncate = [](auto& c) { c.max_context_policy = "truncate-left"; };
  const GenerationResult result = generate_alone(model, a_request(prompt, truncate, 16));
  EXPECT_EQ(result.prompt_tokens_dropped, 16);
  EXPECT_EQ(result.token_ids.size(), 12u);
  const std::vector<int32_t> kept(prompt.end() - 4, prompt.end());
  EXPECT_EQ(result.token_ids, generate_alone(model, a_request(kept, truncate, 16)).token_ids);
}

TEST(ContextPolicy, SlideGoesOnBeyondTheContext) {
  const CountingModel model(kVocab, 16);
  const auto slide = [](auto& c) {
    c.max_context_policy = "slide", c.max_new_tokens = 40, c.temperature = 0;
  };
  const GenerationResult result =
      generate_alone(model, a_request(std::vector<int32_t>(20, 5), slide, 16));
  EXPECT_EQ(result.token_ids.size(), 40u);
  EXPECT_EQ(result.prompt_tokens_dropped, 5);
  EXPECT_EQ(model.largest_length, 16);
  // After the first slide the model sees the newest 8 tokens and the one being read.
  std::vector<int32_t> all(20, 5);
  all.insert(all.end(), result.token_ids.begin(), result.token_ids.end());
  const size_t drawn_at_full =
      20 +
      2;  // 15 prompt tokens and one new one fill the context; the token drawn there is the second
  std::vector<float> logits(kVocab);
  model.write({all.begin() + static_cast<std::ptrdiff_t>(drawn_at_full - 9),
               all.begin() + static_cast<std::ptrdiff_t>(drawn_at_full)},
              logits);
  EXPECT_EQ(result.token_ids[2], argmax(logits));
}

TEST(ContextPolicy, ShortPromptsAreTheSameUnderEveryPolicy) {
  const CountingModel model(kVocab, 40);
  std::vector<std::vector<int32_t>> ids;
  for (const char* policy : {"error", "truncate-left", "slide"}) {
    ids.push_back(
        generate_alone(model, a_request(
                                  {5, 6}, [&](auto& c) { c.max_context_policy = policy; }, 40))
            .token_ids);
  }
  EXPECT_EQ(ids[0], ids[1]);
  EXPECT_EQ(ids[0], ids[2]);
}

TEST(Autoregressive, TimingIsConsistent) {
  const CountingModel model(kVocab);
  const GenerationTiming timing = generate_alone(model, a_request({5})).timing;
  EXPECT_GT(timing.ttft_ms, 0);
  EXPECT_GT(timing.tpot_ms, 0);
  EXPECT_GE(timing.total_ms, timing.ttft_ms + 11 * timing.tpot_ms - 1e-6);
  EXPECT_NEAR(timing.tokens_per_second, 1e3 / timing.tpot_ms, 1e-6);
  EXPECT_GT(timing.prompt_tokens_per_second, 0);
}

}  // namespace
}  // namespace llm
