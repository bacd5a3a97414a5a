#include "serving/engine_thread.h"

#include <gtest/gtest.h>

#include <future>

#include "base/error.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_prompt;
using test::a_request;
using test::kVocab;
using test::run_alone;
using test::with_blocks;

TEST(EngineThread, ManyCallersGetTheirOwnAnswers) {
  const CountingModel model(kVocab), alone(kVocab);  // each counts for its own thread
  EngineThread engine(model, with_blocks(100), 1000);
  std::vector<std::promise<GenerationResult>> results(40);
  std::vector<std::thread> callers;
  for (size_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&, caller] {
      for (size_t i = caller; i < results.size(); i += 4)
        EXPECT_TRUE(engine.submit(a_request(a_prompt(1 + i, i)), [&results, i](auto&& result) {
          results[i].set_value(std::move(result));
        }));
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (size_t i = 0; i < results.size(); ++i)
    EXPECT_EQ(results[i].get_future().get().token_ids,
              run_alone(alone, a_request(a_prompt(1 + i, i))).token_ids);
  EXPECT_EQ(engine.open_requests(), 0);
}

TEST(EngineThread, AFullQueueRefusesAndRecovers) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(10);
  options.max_batch_size = 1;
  EngineThread engine(model, options, 1);
  std::promise<void> go;
  const std::shared_future<void> gate = go.get_future().share();
  GenerationRequest slow = a_request({5});
  slow.on_token = [gate](const TokenEvent&) { return gate.wait(), true; };
  std::promise<void> done;
  EXPECT_TRUE(engine.submit(slow, {[](auto&&) {}}));
  EXPECT_TRUE(engine.submit(a_request({6}), [&](auto&&) { done.set_value(); }));
  EXPECT_FALSE(engine.submit(a_request({7}), [](auto&&) {}));
  EXPECT_EQ(engine.open_requests(), 2);
  go.set_value();
  done.get_future().wait();
  std::promise<void> again;
  EXPECT_TRUE(engine.submit(a_request({7}), [&](auto&&) { again.set_value(); }));
  again.get_future().wait();
}

TEST(EngineThread, AGroupIsTakenWholeOrNotAtAll) {
  const CountingModel model(kVocab, 16);
  EngineOptions options = with_blocks(10);
  options.max_batch_size = 1;
  EngineThread engine(model, options, 0);
  const auto group = [](std::atomic<int>& ended, std::vector<std::vector<int32_t>> prompts) {
    std::vector<EngineThread::Work> works;
    for (auto& prompt : prompts)
      works.emplace_back(a_request(std::move(prompt)), [&ended](auto&&) { ++ended; });
    return works;
  };
  std::atomic<int> first{0}, second{0};
  EXPECT_THROW(engine.submit_together(group(first, {{5}, a_prompt(17, 1)})), Error);
  EXPECT_EQ(engine.open_requests(), 0);
  std::promise<void> go;
  auto works = group(first, {{5}, {6}, {7}});
  works[0].first.on_token = [gate = go.get_future().share()](const TokenEvent&) {
    return gate.wait(), true;
  };
  EXPECT_TRUE(engine.submit_together(std::move(works)));
  EXPECT_EQ(engine.open_requests(), 3);
  EXPECT_FALSE(engine.submit_together(group(second, {{8}, {9}})));
  while (engine.stats().waiting != 2) std::this_thread::yield();
  go.set_value();
  while (engine.open_requests() > 0) std::this_thread::yield();
  EXPECT_TRUE(engine.submit_together(group(second, {{8}, {9}})));
  engine.stop();
  EXPECT_EQ(first, 3);
  EXPECT_EQ(second, 2);
}

TEST(EngineThread, AGroupOfThousandsKeepsNobodyWaitingForAllOfIt) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(100);
  options.max_batch_size = 2;
  EngineThread engine(model, options, 2);  // four places, of which two run
  std::promise<void> go;
  std::atomic<int> ended{0}, before{-1};
  std::vector<EngineThread::Work> works;
  for (int i = 0; i < 1000; ++i) works.emplace_back(a_request({5}), [&ended](auto&&) { ++ended; });
  works[0].first.on_token = [gate = go.get_future().share()](const TokenEvent&) {
    return gate.wait(), true;
  };
  EXPECT_TRUE(engine.submit_together(std::move(works)));
  // Sixteen texts a place are taken long ago, but by one group alone.
  EXPECT_TRUE(engine.submit(a_request({6}), [&](auto&&) { before = ended.load(); }));
  go.set_value();
  while (engine.open_requests() > 0) std::this_thread::yield();
  EXPECT_EQ(ended, 1000);
  EXPECT_GE(before, 0);
  EXPECT_LE(before, 4);  // those that the engine had already
}

TEST(EngineThread, RefusalsAreToldToTheCaller) {
  const CountingModel model(kVocab, 16);
  EngineThread engine(model, with_blocks(10), 4);
  EXPECT_THROW(engine.submit(a_request({99}), {}), Error);
  EXPECT_THROW(engine.submit(a_request(a_prompt(17, 1)), {}), Error);
  EXPECT_EQ(engine.open_requests(), 0);
}

TEST(EngineThread, TellsForHowLongItHangs) {
  using std::chrono::milliseconds;
  CountingModel model(kVocab);
  std::promise<void> go;
  model.write = [gate = go.get_future().share(), quick = model.write](const auto& ids,
                                                                      auto logits) {
    gate.wait();
    quick(ids, logits);
  };
  EngineThread engine(model, with_blocks(100), 4);
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_EQ(engine.turn_age(), milliseconds(0));  // nothing to do is no hanging
  std::promise<void> done;
  EXPECT_TRUE(engine.submit(a_request({5}), [&](auto&&) { done.set_value(); }));
  EXPECT_LT(engine.turn_age(), milliseconds(25));  // and the time without work does not count
  while (engine.turn_age() < milliseconds(30)) std::this_thread::yield();
  // Another that comes meanwhile does not hide it.
  EXPECT_TRUE(engine.submit(a_request({6}), {[](auto&&) {}}));
  EXPECT_GE(engine.turn_age(), milliseconds(30));
  go.set_value();
  done.get_future().wait();
  while (engine.open_requests() > 0) std::this_thread::yield();
  EXPECT_EQ(engine.turn_age(), milliseconds(0));
}

TEST(EngineThread, StoppingEndsEverythingAsCancelled) {
  CountingModel model(kVocab);
  std::vector<FinishReason> reasons;
  {
    EngineOptions options = with_blocks(2000);
    options.max_batch_size = 1;
    EngineThread engine(model, options, 10);
    for (int i = 0; i < 3; ++i) {
      EXPECT_TRUE(engine.submit(a_request({5}, [](auto& c) { c.max_new_tokens = 30000; }),
                                [&](auto&& result) { reasons.push_back(result.finish_reason); }));
    }
  }
  EXPECT_EQ(reasons, (std::vector<FinishReason>(3, FinishReason::cancelled)));
}

}  // namespace
}  // namespace llm
