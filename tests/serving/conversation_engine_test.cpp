#include "serving/conversation_engine.h"

#include <gtest/gtest.h>

#include <stdexcept>

#include "base/error.h"
#include "serving/autoregressive.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_request;
using test::kVocab;

TEST(ConversationEngine, OneRequestAfterTheOtherGivesWhatEachGivesAlone) {
  const CountingModel model(kVocab);
  ConversationEngine engine(model);
  for (int32_t i = 0; i < 4; ++i) {
    const GenerationRequest request = a_request({5, 6 + i}, [&](auto& c) { c.seed = i; });
    EXPECT_EQ(engine.generate(request).token_ids,
              Autoregressive(model).generate({&request, 1})[0].token_ids);
  }
}

TEST(ConversationEngine, EndsOnceStoppedIsTrue) {
  const CountingModel model(kVocab);
  ConversationEngine engine(model);
  int passes = 0;
  const GenerationResult result = engine.generate(
      a_request({5}, [](auto& c) { c.max_new_tokens = 50; }), [&] { return ++passes == 3; });
  EXPECT_EQ(result.finish_reason, FinishReason::cancelled);
  EXPECT_LE(result.token_ids.size(), 4u);
  EXPECT_GE(result.token_ids.size(), 2u);
}

TEST(ConversationEngine, ThrowsWhatOnTokenThrowsAndGoesOnAfterwards) {
  const CountingModel model(kVocab);
  ConversationEngine engine(model);
  const GenerationRequest fine = a_request({5}, [](auto& c) { c.seed = 1; });
  const std::vector<int32_t> wanted = engine.generate(fine).token_ids;
  GenerationRequest request = fine;
  int calls = 0;
  request.on_token = [&](const TokenEvent&) -> bool {
    ++calls;
    throw std::out_of_range("mine");
  };
  EXPECT_THROW(engine.generate(std::move(request)), std::out_of_range);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(engine.generate(fine).token_ids, wanted);
}

}  // namespace
}  // namespace llm
