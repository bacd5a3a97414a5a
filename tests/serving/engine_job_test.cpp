// Work that is no text goes on beside the texts, one piece after a pass.
#include "serving/engine_job.h"

#include <gtest/gtest.h>

#include <future>

#include "serving/engine_thread.h"
#include "tests/serving/engine_requests.h"

namespace llm {
namespace {

using test::a_request;
using test::kVocab;
using test::run_alone;
using test::with_blocks;

/// What became of a job; read after it is over.
struct JobRecord {
  std::vector<bool> alone;  // of each piece
  bool abandoned = false;
  std::promise<void> begun, over;
  std::shared_future<void> gate;  // each piece waits for it, if there is one
  std::atomic<bool> given_up = false;
};

class CountedJob final : public EngineJob {
 public:
  CountedJob(JobRecord& record, size_t pieces) : record_(record), pieces_(pieces) {}
  ~CountedJob() override { record_.over.set_value(); }
  bool piece(bool alone) override {
    if (record_.alone.empty()) record_.begun.set_value();
    record_.alone.push_back(alone);
    if (record_.gate.valid()) record_.gate.wait();
    return record_.alone.size() < pieces_ && !record_.given_up;
  }
  bool is_over() override { return record_.given_up; }
  void abandon() override { record_.abandoned = true; }

 private:
  JobRecord& record_;
  size_t pieces_;
};

TEST(EngineJob, ATextIsWrittenBetweenThePieces) {
  const CountingModel model(kVocab), other(kVocab);
  EngineThread engine(model, with_blocks(100), 10);
  JobRecord record;
  std::promise<void> go;
  record.gate = go.get_future().share();
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(record, 1000)));
  record.begun.get_future().wait();
  std::promise<GenerationResult> text;
  std::atomic<bool> job_was_open{false};
  EXPECT_TRUE(engine.submit(a_request({5}), [&](auto&& result) {
    job_was_open = engine.open_requests() == 1;
    text.set_value(std::move(result));
  }));
  EXPECT_EQ(engine.stats().running, 1) << "the job";
  go.set_value();
  const GenerationResult result = text.get_future().get();
  EXPECT_TRUE(job_was_open) << "the text did not wait for the job's end";
  EXPECT_EQ(result.token_ids, run_alone(other, a_request({5})).token_ids);
  record.over.get_future().wait();
  ASSERT_EQ(record.alone.size(), 1000u);
  EXPECT_TRUE(record.alone.front());
  EXPECT_TRUE(record.alone.back());
  const auto beside = std::count(record.alone.begin(), record.alone.end(), false);
  EXPECT_GE(beside, std::ssize(result.token_ids) - 1) << "a piece after each pass of the text";
  EXPECT_LE(beside, std::ssize(result.token_ids) + 2);
}

TEST(EngineJob, JobsTakePlacesOfTheQueue) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(10);
  options.max_batch_size = 1;
  EngineThread engine(model, options, 1);
  JobRecord first, second, third;
  std::promise<void> go;
  first.gate = go.get_future().share();
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(first, 1)));
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(second, 1)));
  EXPECT_FALSE(engine.submit_job(std::make_unique<CountedJob>(third, 1)));
  EXPECT_FALSE(engine.submit(a_request({5}), [](auto&&) {}));
  EXPECT_EQ(engine.open_requests(), 2);
  go.set_value();
  second.over.get_future().wait();
  EXPECT_EQ(first.alone.size(), 1u);
  EXPECT_TRUE(third.alone.empty());
}

TEST(EngineJob, OneThatIsOverLeavesTheQueueAtOnce) {
  const CountingModel model(kVocab);
  EngineOptions options = with_blocks(10);
  options.max_batch_size = 1;
  EngineThread engine(model, options, 2);
  JobRecord first, second, third, fourth;
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(first, SIZE_MAX)));
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(second, SIZE_MAX)));
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(third, 1)));
  second.given_up = true;
  second.over.get_future().wait();
  EXPECT_EQ(second.alone.size(), 1u) << "the piece that ends it";
  EXPECT_EQ(engine.open_requests(), 2);
  EXPECT_EQ(engine.stats().waiting, 1);
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(fourth, 1))) << "a place is free";
  first.given_up = true;
  fourth.over.get_future().wait();
  EXPECT_EQ(third.alone.size(), 1u);
}

TEST(EngineJob, StoppingAbandonsWhatIsLeft) {
  const CountingModel model(kVocab);
  JobRecord first, second;
  EngineThread engine(model, with_blocks(10), 10);
  std::promise<void> go;
  first.gate = go.get_future().share();
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(first, 1000)));
  EXPECT_TRUE(engine.submit_job(std::make_unique<CountedJob>(second, 1000)));
  first.begun.get_future().wait();
  std::thread stopping([&] { engine.stop(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // stop() has set its mark
  go.set_value();
  stopping.join();
  EXPECT_TRUE(first.abandoned);
  EXPECT_TRUE(second.abandoned);
  EXPECT_LT(first.alone.size(), 1000u);
  EXPECT_EQ(second.alone.size(), 0u);
  EXPECT_EQ(engine.open_requests(), 0);
}

}  // namespace
}  // namespace llm
