#include "model/stored_format.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "model/kernels/packed_linear.h"
#include "model/kernels/worker_team.h"

namespace llm {
namespace {

/// Panels as bytes.
std::vector<std::byte> panels_of(PackedWeight weight) {
  WorkerTeam team(2);
  pack_deferred(weight, team);
  EXPECT_EQ(static_cast<int64_t>(weight.panels.size()), weight.bytes());
  return {weight.panels.data(), weight.panels.data() + weight.panels.size()};
}

std::vector<std::byte> panels_of(const std::vector<at::Tensor>& matrices) {
  return panels_of(defer_packing(matrices));
}

/// The numbers of a tensor in a format's blocks.
std::vector<std::byte> stored_as(const BlockFormat& format, const at::Tensor& values) {
  const at::Tensor floats = values.to(at::kFloat).contiguous();
  std::vector<std::byte> blocks(static_cast<size_t>(floats.numel()) / format.values * format.bytes);
  quantize(format, {floats.const_data_ptr<float>(), static_cast<size_t>(floats.numel())}, blocks);
  return blocks;
}

at::Tensor read_back(const BlockFormat& format, const std::vector<std::byte>& blocks,
                     at::IntArrayRef shape) {
  at::Tensor values = at::empty(shape, at::kFloat);
  dequantize(format, blocks,
             {values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())});
  return values;
}

class EveryStoredFormat : public testing::TestWithParam<const char*> {};

// Several matrices one below the other, rows that do not fill a panel, columns beyond one stretch.
TEST_P(EveryStoredFormat, PanelsHoldTheBitsOfATensorInBetween) {
  at::manual_seed(2);
  const BlockFormat& format = *find_block_format(GetParam());
  for (const int64_t columns : {32, 256, 288, 576}) {
    std::vector<std::vector<std::byte>> files;
    std::vector<StoredRows> stored;
    std::vector<at::Tensor> values;
    for (const int64_t rows : {40, 3, 33}) {
      files.push_back(stored_as(format, at::randn({rows, columns})));
      values.push_back(read_back(format, files.back(), {rows, columns}));
      stored.push_back(rows_in_format(format, files.back().data(), rows, columns));
    }
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      std::vector<at::Tensor> tensors;
      for (const at::Tensor& matrix : values) tensors.push_back(matrix.to(dtype));
      EXPECT_EQ(panels_of(defer_packing(stored, dtype == at::kBFloat16)), panels_of(tensors))
          << columns << " " << dtype;
    }
  }
}

TEST_P(EveryStoredFormat, ARowIsReadAsItIsPacked) {
  at::manual_seed(3);
  const BlockFormat& format = *find_block_format(GetParam());
  const auto file = stored_as(format, at::randn({3, 288}));
  const at::Tensor values = read_back(format, file, {3, 288});
  const StoredRows stored = rows_in_format(format, file.data(), 3, 288);
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    at::Tensor row = at::empty({288});
    read_row(stored, 2, dtype == at::kBFloat16, row.mutable_data_ptr<float>());
    EXPECT_TRUE(row.equal(values[2].to(dtype).to(at::kFloat))) << dtype;
  }
}

INSTANTIATE_TEST_SUITE_P(StoredFormat, EveryStoredFormat,
                         testing::Values("F32", "F16", "BF16", "Q8_0", "Q4_0"),
                         [](const auto& test) { return std::string(test.param); });

TEST(StoredFormat, OddColumnsEndWithAZero) {
  at::manual_seed(4);
  for (const int64_t columns : {1, 7, 257}) {
    const at::Tensor values = at::randn({35, columns});
    const auto file = stored_as(block_format(GgmlType::f32), values);
    const StoredRows stored = rows_in_format(block_format(GgmlType::f32), file.data(), 35, columns);
    EXPECT_EQ(panels_of(defer_packing({&stored, 1}, true)),
              panels_of(std::vector<at::Tensor>{values.to(at::kBFloat16)}))
        << columns;
  }
}

// The smallest numbers stay, and ties go to the even neighbour.
TEST(StoredFormat, RoundsAsLibTorchDoes) {
  std::vector<float> values = {1e-40f, -1e-40f, 1.00390625f, 1.01171875f, 3.3895e38f, -0.0f, 1e-3f};
  values.resize(32, 0.1f);
  const StoredRows stored = rows_in_format(
      block_format(GgmlType::f32), reinterpret_cast<const std::byte*>(values.data()), 1, 32);
  const at::Tensor tensor = at::tensor(values).reshape({1, 32}).to(at::kBFloat16);
  EXPECT_EQ(panels_of(defer_packing({&stored, 1}, true)),
            panels_of(std::vector<at::Tensor>{tensor}));
}

// Row 2 i of a head becomes row i, row 2 i + 1 the i-th of its second half.
TEST(StoredFormat, PairedRowsOfHeadsAreTakenApart) {
  at::manual_seed(5);
  for (const int64_t head_rows : {2, 6, 64}) {
    const int64_t rows = 3 * head_rows;
    const at::Tensor paired = at::randn({rows, 32});
    const at::Tensor halves =
        paired.reshape({3, head_rows / 2, 2, 32}).transpose(1, 2).reshape({rows, 32});
    const auto file = stored_as(block_format(GgmlType::f32), paired);
    StoredRows stored = rows_in_format(block_format(GgmlType::f32), file.data(), rows, 32);
    stored.paired_head_rows = head_rows;
    EXPECT_EQ(panels_of(defer_packing({&stored, 1}, false)),
              panels_of(std::vector<at::Tensor>{halves}))
        << head_rows;
  }
}

}  // namespace
}  // namespace llm
