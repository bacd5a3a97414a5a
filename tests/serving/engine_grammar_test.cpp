// Texts held to grammars, among others: above all grammars that take long to say what may come
// next.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "serving/constraint/constraint.h"
#include "serving/constraint/gbnf.h"
#include "serving/constraint/grammar_place.h"
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

/// The tokens that a_request() shows: 'C' for id 2 and so on; 0 ends a text.
std::shared_ptr<const TokenVocabulary> letters() {
  std::vector<std::string> tokens(2);
  for (int id = 2; id < kVocab; ++id) tokens.emplace_back(1, static_cast<char>('A' + id));
  const int32_t end = 0;
  return std::make_shared<const TokenVocabulary>(tokens, std::span(&end, 1));
}

std::shared_ptr<const Constraint> kept_to(const std::string& grammar) {
  return std::make_shared<const Constraint>(
      std::make_shared<const TokenGrammar>(parse_gbnf(grammar), letters()));
}

/// A legal grammar of twelve words: thousands of ways are open at every place.
std::string slow_grammar() {
  std::string text = "root ::= word{12} \"C\"\nword ::= \"D\"";
  for (int length = 0; length < 4000; ++length)
    text += " | [E-l]{0," + std::to_string(length) + "} \"D\"";
  return text + "\n";
}

GenerationRequest with_grammar(GenerationRequest request, const std::string& grammar) {
  request.constraint = kept_to(grammar);
  return request;
}

GenerationRequest slow_request(const std::function<void(GenerationConfig&)>& change,
                               uint64_t key = 1) {
  const auto changed = [&](GenerationConfig& c) {
    c.max_new_tokens = 40, c.eos_token_id = {0};
    change(c);
  };
  return with_grammar(a_request(a_prompt(40, key), changed), slow_grammar());
}

TEST(EngineGrammar, ASlowOneHoldsUpNobodyElse) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(100));
  size_t slow = 0, quick = 0, slow_when_quick_ended = 0;
  GenerationRequest held = slow_request([](auto&) {});
  held.on_token = [&](const TokenEvent&) { return ++slow, true; };
  GenerationRequest free = a_request({5}, [](auto& c) { c.max_new_tokens = 400; });
  free.on_token = [&](const TokenEvent&) { return ++quick, true; };
  std::string text;
  engine.submit(held, [&](GenerationResult&& result) { text = result.text; });
  engine.submit(free, [&](GenerationResult&&) { slow_when_quick_ended = slow; });
  while (engine.step()) {
  }
  EXPECT_GE(quick, 400u);
  EXPECT_LT(slow_when_quick_ended, 20u) << "every pass waited for both";
  EXPECT_EQ(text, run_alone(model, slow_request([](auto&) {})).text);
}

TEST(EngineGrammar, ASlowOneGivesTheSameTextAloneAndAmongOthers) {
  const CountingModel model(kVocab);
  std::vector<GenerationRequest> requests;
  for (uint64_t i = 0; i < 10; ++i) {
    const auto change = [i](GenerationConfig& c) {
      c.temperature = i % 2 == 0 ? 0 : 1;
      c.max_new_tokens = 16;
      if (i % 5 == 2) c.num_beams = 3;
      if (i % 5 == 3) c.num_speculative_tokens = 4;
      if (i % 5 == 4) c.return_input_logprobs = true;
    };
    requests.push_back(i < 6 ? slow_request(change, i) : a_request(a_prompt(20, i), change));
  }
  for (const int64_t blocks : {200, 14}) {
    // A second run of the same request finds its masks at hand and waits for none.
    expect_as_alone(model, requests, run_all(model, with_blocks(blocks), requests));
  }
}

TEST(EngineGrammar, TheEndOfASlowOneEndsTheText) {
  for (const int64_t beams : {1, 2}) {
    GenerationRequest request =
        slow_request([&](auto& c) { c.num_beams = beams, c.max_new_tokens = 200; });
    CountingModel ending(kVocab);
    ending.write = [](const std::vector<int32_t>&, std::span<float> logits) {
      std::fill(logits.begin(), logits.end(), 0.0f);
      logits[3] = 9, logits[2] = 9.5f;  // "D" ends a word, "C" the text
    };
    const GenerationResult result = run_alone(ending, request);
    EXPECT_EQ(result.finish_reason, FinishReason::stop);
    EXPECT_EQ(result.text, "DDDDDDDDDDDDC");
    EXPECT_EQ(std::ssize(result.token_ids), std::ssize(result.text)) << "the end is no token here";
  }
}

TEST(EngineGrammar, TheTokenThatFillsTheContextMayEndTheGrammarToo) {
  CountingModel model(kVocab, 40 + 13);
  model.write = [](const std::vector<int32_t>&, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    logits[3] = 9, logits[2] = 9.5f;
  };
  for (const int64_t beams : {1, 2}) {
    const auto change = [&](auto& c) { c.num_beams = beams, c.max_new_tokens = 14; };
    GenerationRequest request = slow_request(change);
    const GenerationResult result = run_alone(model, request);
    EXPECT_EQ(result.text, "DDDDDDDDDDDDC");
    EXPECT_EQ(result.finish_reason, FinishReason::stop);
  }
}

TEST(EngineGrammar, OfTheEmptyTextAloneGivesIt) {
  const CountingModel model(kVocab);
  for (const int64_t beams : {1, 2}) {
    for (const int64_t least : {0, 3}) {
      const auto change = [&](GenerationConfig& c) {
        c.num_beams = c.num_return_sequences = beams;
        c.min_new_tokens = least;
        c.eos_token_id = {0};
        c.return_input_logprobs = true;
      };
      const GenerationResult result =
          run_alone(model, with_grammar(a_request(a_prompt(9, 1), change), "root ::= \"\"\n"));
      EXPECT_EQ(result.finish_reason, FinishReason::stop) << result.error;
      EXPECT_EQ(result.text, "");
      EXPECT_EQ(result.token_ids, std::vector<int32_t>());
      EXPECT_EQ(result.input_logprobs.size(), 8u);
      EXPECT_EQ(std::ssize(result.others), beams - 1);
    }
  }
}

TEST(EngineGrammar, TheLimitsOfASlowOneEndThatTextAlone) {
  CountingModel model(kVocab);
  model.write = [](const std::vector<int32_t>&, std::span<float> logits) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    logits[2] = 9;
  };
  // Each "C" may end any number of the groups that are open: ever more stacks.
  const std::string explodes = "root ::= g\ng ::= \"C\" | \"C\" g g | \"C\" g g g\n";
  std::vector<GenerationRequest> requests = {
      with_grammar(a_request({7}, [](auto& c) { c.max_new_tokens = 300; }), explodes),
      a_request({8}, [](auto& c) { c.max_new_tokens = 30; })};
  requests.push_back(requests[0]);
  const auto results = run_all(model, with_blocks(100), requests);
  for (const size_t i : {0, 2}) {
    EXPECT_EQ(results[i].finish_reason, FinishReason::error);
    EXPECT_TRUE(results[i].error.starts_with("grammar: ")) << results[i].error;
  }
  EXPECT_EQ(results[1].token_ids.size(), 30u);
}

TEST(EngineGrammar, AWaitingTextCanBeCancelled) {
  const CountingModel model(kVocab);
  Engine engine(model, with_blocks(100));
  GenerationRequest request = slow_request([](auto&) {});
  request.cancelled = std::make_shared<std::atomic<bool>>(false);
  FinishReason reason = FinishReason::none;
  engine.submit(request, [&](GenerationResult&& result) { reason = result.finish_reason; });
  engine.step();
  EXPECT_EQ(reason, FinishReason::none);
  *request.cancelled = true;
  engine.step();
  EXPECT_EQ(reason, FinishReason::cancelled);
  EXPECT_FALSE(engine.step());
}

}  // namespace
}  // namespace llm
