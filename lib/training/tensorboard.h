// TensorBoard event files, encoded by hand.
//
// File events.out.tfevents.<seconds>.<host>.<pid>.0, a sequence of records: u64 length | u32 masked
// CRC-32C of the length | data | u32 masked CRC-32C of the data, little endian; mask(c) = ((c >>
// 15) | (c << 17)) + 0xa282ead8. Data is a protobuf Event: 1 wall_time double, 2 step int64, 3
// file_version "brain.Event:2" (first record only), 5 Summary{1 value{1 tag, 2 simple_value
// float}}, 7 SessionLog{1 status START}, which tells TensorBoard to forget what earlier files have
// of these and later steps. Throws Error(io). Used from one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_io.h"

namespace llm {

/// CRC-32C (Castagnoli) and TensorFlow's masking of it.
uint32_t crc32c(std::string_view bytes);
uint32_t masked_crc32c(std::string_view bytes);

class TensorBoardWriter {
 public:
  /// Opens a new file in `folder`. first_step: of those that follow.
  TensorBoardWriter(const std::filesystem::path& folder, int64_t first_step);
  void write_scalars(int64_t step, const std::vector<std::pair<std::string, double>>& scalars);
  void sync() { file_.sync(); }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  void write_record(std::string_view data);
  OutputFile file_;
};

struct TensorBoardScalar {
  int64_t step = 0;
  std::string tag;
  float value = 0;
};
/// Reads a file back, checking every CRC; throws Error(bad_input) at the first bad record.
std::vector<TensorBoardScalar> read_tensorboard_scalars(const std::filesystem::path& file);

}  // namespace llm
