#include "data/data_loader.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/prefetcher.h"

namespace llm {
namespace {

constexpr uint64_t kOrderStream =
    0x6F72646572;  // separates the keys of the order from those of the shifts
constexpr uint64_t kShiftStream = 0x7368696674;

}  // namespace

DataLoader::DataLoader(std::unique_ptr<const RowSource> source, DataLoaderOptions options)
    : source_(std::move(source)),
      options_(options),
      rows_(options.shift_windows ? source_->shiftable_size() : source_->size()) {
  check(options.rows_per_step >= 1, "data loader: rows_per_step must be at least 1, got {}",
        options.rows_per_step);
  check(options.workers >= 0 && options.workers <= 64,
        "data loader: workers must be between 0 and 64, got {}", options.workers);
  if (options.workers > 0) {
    auto fill = [this](const BatchRequest& request) {
      Batch batch;
      rows_into(request.step, request.first_row, request.count, batch);
      return batch;
    };
    prefetcher_ =
        std::make_unique<Prefetcher>(fill, options.rows_per_step, options.workers, options.depth);
  }
}

DataLoader::~DataLoader() = default;

DataLoader::Place DataLoader::place_of(int64_t step, int64_t row) const {
  // 128 bits: step * rows_per_step must not overflow, whatever a state file says.
  auto global =
      static_cast<unsigned __int128>(step) * static_cast<uint64_t>(options_.rows_per_step) +
      static_cast<uint64_t>(row);
  auto rows = static_cast<uint64_t>(rows_);
  return {static_cast<uint64_t>(global / rows), static_cast<uint64_t>(global % rows)};
}

int64_t DataLoader::source_row(int64_t step, int64_t row) const {
  check(step >= 0 && row >= 0 && row < options_.rows_per_step,
        "data loader: row {} of step {}; a step has {} rows", row, step, options_.rows_per_step);
  Place place = place_of(step, row);
  if (!options_.shuffle) {
    return static_cast<int64_t>(place.index);
  }
  return static_cast<int64_t>(order_of(place.epoch)(place.index));
}

Permutation DataLoader::order_of(uint64_t epoch) const {
  return Permutation(static_cast<uint64_t>(rows_),
                     combine_keys(options_.seed, kOrderStream, epoch));
}

int64_t DataLoader::shift_of(uint64_t epoch) const {
  if (!options_.shift_windows || epoch == 0) {
    return 0;
  }
  auto positions = static_cast<uint64_t>(source_->max_shift(rows_)) + 1;
  return static_cast<int64_t>(CounterRandom(combine_keys(options_.seed, kShiftStream)).bits(epoch) %
                              positions);
}

void DataLoader::rows_into(int64_t step, int64_t first_row, int64_t count, Batch& batch) const {
  check(step >= 0 && first_row >= 0 && count >= 0 && count <= options_.rows_per_step - first_row,
        "data loader: rows {} to {} of step {}; a step has {} rows", first_row, first_row + count,
        step, options_.rows_per_step);
  std::vector<RowPlace> places;
  places.reserve(static_cast<size_t>(count));
  Place place = place_of(step, first_row);
  for (int64_t done = 0; done < count; ++place.epoch, place.index = 0) {
    const Permutation order = order_of(place.epoch);
    const int64_t shift = shift_of(place.epoch);
    for (; done < count && place.index < static_cast<uint64_t>(rows_); ++done, ++place.index) {
      places.push_back(
          {static_cast<int64_t>(options_.shuffle ? order(place.index) : place.index), shift});
    }
  }
  source_->read(places, batch);
}

Batch DataLoader::rows(int64_t step, int64_t first_row, int64_t count) {
  if (prefetcher_) {
    return prefetcher_->get({step, first_row, count});
  }
  Batch batch;
  rows_into(step, first_row, count, batch);
  return batch;
}

double DataLoader::epoch_at(int64_t step) const {
  Place place = place_of(step, 0);
  return static_cast<double>(place.epoch) +
         static_cast<double>(place.index) / static_cast<double>(rows_);
}

int64_t DataLoader::epoch_of(int64_t step) const {
  return static_cast<int64_t>(place_of(step, 0).epoch);
}

int64_t DataLoader::steps_for_epochs(double epochs) const {
  double rows = epochs * static_cast<double>(rows_);
  // Rounding noise of a product such as 0.1 * 30 must not cost a step.
  return static_cast<int64_t>(std::ceil(rows / static_cast<double>(options_.rows_per_step) - 1e-9));
}

}  // namespace llm
