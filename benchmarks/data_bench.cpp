// Speed of the dataset reader: random windows of a token file into int64 batches, tokens per second
// of one thread, beside what one thread reads from memory in the same run. Usage: data_bench
// [MILLION_TOKENS] [FOLDER]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "data/data_loader.h"
#include "data/packed_dataset.h"
#include "data/token_file.h"

namespace {

using namespace llm;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 7;

double seconds_of(const std::function<void()>& action) {
  auto start = Clock::now();
  action();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Spread {
  double low, median, high;
};

Spread spread_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

void write_dataset(const std::filesystem::path& prefix, int64_t tokens, int64_t mean_length) {
  TokenFileWriter writer(prefix, std::string(64, '0'));
  CounterRandom random(static_cast<uint64_t>(mean_length));
  std::vector<int32_t> ids;
  for (uint64_t s = 0; writer.tokens() < tokens; ++s) {
    ids.resize(1 + random.bits(s) % static_cast<uint64_t>(2 * mean_length - 1));
    for (size_t i = 0; i < ids.size(); ++i) {
      ids[i] = static_cast<int32_t>(random.bits(s * 131 + i) % 32000);
    }
    writer.append(ids);
  }
  writer.finish();
}

double read_gigabytes_per_second(const std::vector<uint64_t>& memory) {
  uint64_t sums[8] = {};
  double seconds = seconds_of([&] {
    for (size_t i = 0; i + 8 <= memory.size(); i += 8) {
      for (size_t lane = 0; lane < 8; ++lane) {
        sums[lane] += memory[i + lane];
      }
    }
  });
  volatile uint64_t kept = sums[0] ^ sums[7];
  (void)kept;
  return static_cast<double>(memory.size() * 8) / seconds / 1e9;
}

void measure(const std::filesystem::path& prefix, const std::string& what, int64_t seq_len,
             const std::vector<uint64_t>& memory) {
  constexpr int64_t kRows = 16;
  std::vector<double> rates, ceilings;
  DataLoader loader(std::make_unique<PackedDataset>(TokenFile::open(prefix, {"", 32000}), seq_len),
                    {.seed = 1, .rows_per_step = kRows});
  int64_t steps = std::max<int64_t>(loader.steps_per_epoch(), 1);
  Batch batch;
  for (int round = 0; round <= kRounds; ++round) {  // the first round brings the file into memory
    double seconds = seconds_of([&] {
      for (int64_t step = 0; step < steps; ++step) {
        loader.rows_into(step, 0, kRows, batch);
      }
    });
    if (round > 0) {
      rates.push_back(static_cast<double>(steps * kRows * (seq_len + 1)) / seconds / 1e6);
      ceilings.push_back(read_gigabytes_per_second(memory));
    }
  }
  Spread rate = spread_of(rates), ceiling = spread_of(ceilings);
  fmt::print(
      "{:<24} T {:>5}  {:>6.0f} M tokens/s (min {:.0f}, max {:.0f})  reads {:.1f} of {:.1f} GB/s\n",
      what, seq_len, rate.median, rate.low, rate.high, rate.median * 4 / 1e3, ceiling.median);
}

}  // namespace

int main(int argc, char** argv) {
  int64_t tokens = (argc > 1 ? std::atoll(argv[1]) : 200) * 1'000'000;
  std::filesystem::path folder =
      std::filesystem::path(argc > 2 ? argv[2] : std::filesystem::temp_directory_path().c_str()) /
      "llm-data-bench";
  std::vector<uint64_t> memory(size_t{32} << 20, 1);
  fmt::print("random windows to int64, one thread, {} M tokens, {} rounds, every id checked\n",
             tokens / 1'000'000, kRounds);
  for (int64_t length : {20, 1000}) {
    write_dataset(folder / "x", tokens, length);
    for (int64_t seq_len : {256, 1024}) {
      measure(folder / "x", fmt::format("documents of {} tokens", length), seq_len, memory);
    }
  }
  std::filesystem::remove_all(folder);
  return 0;
}
