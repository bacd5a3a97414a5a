#include "training/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/json_reader.h"
#include "tests/training/scratch.h"
#include "tests/training/tiny_run.h"
#include "training/tensorboard.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

StepRecord sample() {
  StepRecord record;
  record.step = 420;
  record.epoch = 1.5;
  record.tokens = 3440640;
  record.loss = 3.1234;
  record.lr = 3e-4;
  record.grad_norm = 0.91;
  record.tokens_per_second = 76000;
  record.step_ms = 214;
  record.samples_per_second = 148.5;
  record.batches_per_second = 18.5625;
  record.mfu = 0.4;
  record.peak_memory_bytes = 2040109465;
  return record;
}

TEST(Metrics, TheLogLineHasItsFixedColumns) {
  EXPECT_EQ(step_line(sample(), 5000, 3.2, 983),
            "step 420/5000 (8.4%) | loss 3.1234 | val 3.20 | lr 3.0e-04 | grad 0.91 | 76,000 tok/s "
            "| 214 ms | mem 1.9 GiB | eta 16m");
  EXPECT_EQ(step_line(sample(), 5000, {}, 983),
            "step 420/5000 (8.4%) | loss 3.1234 | lr 3.0e-04 | grad 0.91 | 76,000 tok/s | 214 ms | "
            "mem 1.9 GiB | eta 16m");
}

TEST(Metrics, OneRecordGoesToEveryFileUnderTheSameKeys) {
  const Scratch run;
  StepRecord record = sample();
  record.validation = LossTotals{10 * std::log(2.0), 10, 4, 20};
  record.long_validation = LossTotals{10 * std::log(4.0), 10, 4, 20};
  record.gradient_norms = {{"layers.00", 0.5}};
  MetricsWriter(run.path, {}, 0).write(record);
  const nlohmann::json row = parse_json(read_file(run.path / "metrics.jsonl"), "metrics.jsonl");
  EXPECT_EQ(row["step"], 420);
  EXPECT_EQ(row["val_loss"], std::log(2.0));
  EXPECT_EQ(row["val_perplexity"], 2.0);
  EXPECT_EQ(row["val_bits_per_byte"], 0.5);
  EXPECT_EQ(row["val_accuracy"], 0.4);
  EXPECT_EQ(row["val_long_loss"], std::log(4.0));
  EXPECT_EQ(row["val_long_perplexity"], 4.0);
  EXPECT_EQ(row["gradient_norms"]["layers.00"], 0.5);
  EXPECT_EQ(read_file(run.path / "metrics.csv"),
            "step,epoch,tokens,loss,lr,grad_norm,tokens_per_second,step_ms,mfu,peak_memory_bytes,"
            "skipped_steps,samples_per_second,batches_per_second,val_loss,val_perplexity,"
            "val_bits_per_byte,val_accuracy,val_long_loss,val_long_perplexity\n"
            "420,1.5,3440640,3.1234,0.0003,0.91,76000,214,0.4,2040109465,0,148.5,18.5625,"
            "0.6931471805599453,2,0.5,0.4,1.3862943611198906,4\n");
  for (const auto& entry : fs::directory_iterator(run.path)) {
    if (entry.path().filename().string().starts_with("events")) {
      const auto scalars = read_tensorboard_scalars(entry.path());
      ASSERT_FALSE(scalars.empty());
      EXPECT_EQ(scalars[0].tag, "train/loss");
      EXPECT_EQ(scalars[0].value, 3.1234f);
    }
  }
}

TEST(Metrics, TheTableHasTheKeysOfTheObjectsAndEmptyCellsForTheRest) {
  const Scratch run;
  StepRecord validated = sample();
  validated.validation = LossTotals{10 * std::log(2.0), 10, 4, 20};
  MetricsWriter writer(run.path, {}, 0);
  writer.write(sample());
  writer.write(validated);
  std::istringstream objects(read_file(run.path / "metrics.jsonl")),
      table(read_file(run.path / "metrics.csv"));
  const auto cells = [](const std::string& line) {
    std::vector<std::string> out;
    std::istringstream rest(line + ",");
    for (std::string cell; std::getline(rest, cell, ',');) out.push_back(cell);
    return out;
  };
  std::string line;
  std::getline(table, line);
  const std::vector<std::string> header = cells(line);
  for (std::string object; std::getline(objects, object);) {
    const nlohmann::json row = parse_json(object, "metrics.jsonl");
    std::getline(table, line);
    const std::vector<std::string> values = cells(line);
    ASSERT_EQ(values.size(), header.size());
    size_t filled = 0;
    for (size_t i = 0; i < header.size(); ++i) {
      EXPECT_EQ(values[i].empty(), !row.contains(header[i])) << header[i];
      if (!values[i].empty()) {
        EXPECT_EQ(std::stod(values[i]), row[header[i]].get<double>()) << header[i];
        ++filled;
      }
    }
    EXPECT_EQ(filled, row.size());
  }
}

TEST(Metrics, ALossThatIsNotANumberIsNullInJsonAndAnEmptyCell) {
  const Scratch run;
  StepRecord record = sample();
  record.loss = -std::nan("");
  MetricsWriter(run.path, {}, 0).write(record);
  EXPECT_TRUE(parse_json(read_file(run.path / "metrics.jsonl"), "metrics.jsonl")["loss"].is_null());
  const std::string table = read_file(run.path / "metrics.csv");
  EXPECT_EQ(table.find("nan"), std::string::npos) << table;
  EXPECT_NE(step_line(record, 1000, {}, 1).find("| loss nan |"), std::string::npos);
}

TEST(Metrics, ResumingDropsWhatWasSkippedLater) {
  const Scratch run;
  const auto file = run.path / "skipped_steps.jsonl";
  const std::string earlier = "{\"step\":7,\"not_finite\":\"loss\"}\n";
  OutputFile::create(file).write(earlier + "{\"step\":12,\"not_finite\":\"loss\"}\n");
  MetricsWriter(run.path, {}, 10).write(sample());
  EXPECT_EQ(read_file(file), earlier);
}

TEST(Metrics, SkippedStepsAreSyncedWithTheRest) {
  const Scratch run;
  FaultPlan plan;
  MetricsWriter writer(run.path, {}, 0);
  OutputFile::append_to(run.path / "skipped_steps.jsonl").write("{\"step\":1}\n");
  writer.sync();
  plan.lose_unsynced(Loss::data_only);
  EXPECT_EQ(read_file(run.path / "skipped_steps.jsonl"), "{\"step\":1}\n");
}

/// Steps whose row of metrics.jsonl, of metrics.csv and of the event file are there.
std::vector<std::vector<int64_t>> recorded_steps(const fs::path& run) {
  std::vector<std::vector<int64_t>> steps(3);
  std::string line;
  std::ifstream jsonl(run / "metrics.jsonl"), csv(run / "metrics.csv");
  while (std::getline(jsonl, line)) steps[0].push_back(std::stoll(line.substr(8)));
  std::getline(csv, line);  // the header
  while (std::getline(csv, line)) steps[1].push_back(std::stoll(line));
  for (const fs::directory_entry& entry : fs::directory_iterator(run)) {
    if (!entry.path().filename().string().starts_with("events.")) continue;
    for (const TensorBoardScalar& scalar : read_tensorboard_scalars(entry.path()))
      if (scalar.tag == "train/loss") steps[2].push_back(scalar.step);
  }
  return steps;
}

// The moment a checkpoint counts, so do the rows before it.
TEST(Metrics, RowsUpToACheckpointOutliveALossOfPower) {
  const Scratch run;
  TrainerSetup setup = tiny_setup(6, run.path);
  setup.metrics.logging_steps = 1;
  setup.metrics.tensorboard = true;
  setup.checkpoint.save_steps = 3;
  FaultPlan plan;
  setup.on_step = [&](int64_t step) {
    if (step == 5) plan.crash_at(plan.operations() + 1);  // in step 6
  };
  const auto model = tiny_model();
  EXPECT_THROW(Trainer(setup, *model).train(), SimulatedCrash);
  plan.lose_unsynced();
  const std::vector<int64_t> up_to_3{1, 2, 3};
  EXPECT_EQ(recorded_steps(run.path), (std::vector{up_to_3, up_to_3, up_to_3}));
  EXPECT_EQ(checkpoint_steps(run.path), std::vector<int64_t>{3});
}

TEST(Metrics, FilesThatAreSwitchedOffAreNotWritten) {
  const Scratch run;
  MetricsConfig config;
  config.csv = config.tensorboard = false;
  MetricsWriter(run.path, config, 0).write(sample());
  EXPECT_EQ(std::distance(fs::directory_iterator(run.path), {}), 1);
}

TEST(Metrics, ResumingDropsLaterAndTornRows) {
  const Scratch run;
  for (const int64_t step : {10, 20, 30}) {
    StepRecord record = sample();
    record.step = step;
    MetricsWriter(run.path, {}, step - 10).write(record);
  }
  OutputFile::append_to(run.path / "metrics.jsonl").write("{\"step\":40,\"ep");
  StepRecord record = sample();
  record.step = 21;
  MetricsWriter(run.path, {}, 20).write(record);
  const std::string rows = read_file(run.path / "metrics.jsonl");
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 3);
  EXPECT_EQ(rows.find("\"step\":30"), std::string::npos);
  EXPECT_EQ(rows.find("\"step\":40"), std::string::npos);
  EXPECT_NE(rows.find("\"step\":21"), std::string::npos);
}

TEST(Metrics, PeakMemoryIsThatOfThisProcess) {
  EXPECT_GT(peak_memory_bytes(), int64_t{1} << 20);
  EXPECT_LT(peak_memory_bytes(), int64_t{1} << 40);
}

}  // namespace
}  // namespace llm
