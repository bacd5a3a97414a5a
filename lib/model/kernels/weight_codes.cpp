#include "model/kernels/weight_codes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace llm {
namespace {

constexpr std::array<std::string_view, 4> kCodeNames = {"none", "int8", "fp8", "int4"};

}  // namespace

std::optional<Codes> parse_codes(std::string_view name) {
  for (size_t i = 0; i < kCodeNames.size(); ++i) {
    if (kCodeNames[i] == name) return static_cast<Codes>(i);
  }
  return std::nullopt;
}

std::string_view codes_name(Codes codes) { return kCodeNames[static_cast<size_t>(codes)]; }

namespace packed {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

using PanelFloats = std::array<float, kPanelRows>;

/// The largest magnitude of each row, infinite or NaN (as infinity) where a number is.
PanelFloats largest_magnitudes(const float* values, int64_t columns) {
  PanelFloats largest{};
  for (int64_t column = 0; column < columns; ++column) {
    for (size_t row = 0; row < kPanelRows; ++row) {
      const float magnitude = std::fabs(values[column * kPanelRows + static_cast<int64_t>(row)]);
      largest[row] = magnitude <= largest[row] ? largest[row]
                     : std::isnan(magnitude)   ? std::numeric_limits<float>::infinity()
                                               : magnitude;
    }
  }
  return largest;
}

void encode8(Codes codes, const float* values, int64_t columns, std::byte* panel) {
  const float top = codes == Codes::fp8 ? kLargestFp8 : 127.0f;
  const PanelFloats largest = largest_magnitudes(values, columns);
  PanelFloats scales{}, inverse{};
  for (size_t row = 0; row < kPanelRows; ++row) {
    scales[row] = std::isfinite(largest[row]) ? largest[row] / top : kNaN;
    inverse[row] = scales[row] > 0 ? top / largest[row] : 0;
    if (!std::isfinite(inverse[row])) inverse[row] = scales[row] = 0;  // too small to be told apart
  }
  auto* to = reinterpret_cast<uint8_t*>(panel);
  for (int64_t i = 0; i < columns * kPanelRows; ++i) {
    const float scaled = values[i] * inverse[static_cast<size_t>(i % kPanelRows)];
    to[i] = code8(codes, std::isnan(scaled) ? 0 : scaled);
  }
  std::memcpy(panel + columns * kPanelRows, scales.data(), sizeof scales);
}

/// The number of largest magnitude of each row with its sign, NaN where one is not finite.
PanelFloats peaks(const float* values, int64_t columns) {
  PanelFloats peak{};
  for (int64_t column = 0; column < columns; ++column) {
    for (size_t row = 0; row < kPanelRows; ++row) {
      const float value = values[column * kPanelRows + static_cast<int64_t>(row)];
      if (!std::isfinite(value)) peak[row] = kNaN;
      if (std::fabs(value) > std::fabs(peak[row])) peak[row] = value;
    }
  }
  return peak;
}

void encode4(const float* values, int64_t columns, std::byte* panel) {
  for (int64_t first = 0; first < columns; first += kGroupColumns) {
    const float* group = values + first * kPanelRows;
    const int64_t count = std::min(kGroupColumns, columns - first);
    const PanelFloats peak = peaks(group, count);
    auto* to = reinterpret_cast<uint8_t*>(panel) + first / kGroupColumns * kGroupBytes;
    std::memset(to, 0, static_cast<size_t>(kGroupBytes));
    for (int64_t row = 0; row < kPanelRows; ++row) {
      const uint16_t scale = stored<uint16_t>(peak[static_cast<size_t>(row)] / -8);
      const float unit = widened(scale);
      const float inverse = unit != 0 && std::isfinite(1 / unit) ? 1 / unit : 0;
      for (int64_t column = 0; column < count; ++column) {
        const float scaled = std::nearbyint(group[column * kPanelRows + row] * inverse);
        // NaN compares as false: such a row's codes mean nothing, its scale is NaN.
        const int code = scaled >= -8 ? static_cast<int>(std::min(scaled, 7.0f)) : -8;
        to[column / 2 * kPanelRows + row] |= static_cast<uint8_t>((code & 15) << (column % 2 * 4));
      }
      std::memcpy(to + kGroupCodes + row * 2, &scale, sizeof scale);
    }
  }
}

float decoded8(Codes codes, uint8_t code) {
  if (codes == Codes::int8) return static_cast<float>(static_cast<int8_t>(code));
  const float magnitude = fp8_value(static_cast<uint8_t>(code & 0x7f));
  return (code & 0x80) != 0 ? -magnitude : magnitude;
}

/// The code of one column of an int4 group, times its scale.
float decoded4(const uint8_t* group, int64_t column, int64_t row) {
  const int code = group[column / 2 * kPanelRows + row] >> (column % 2 * 4) & 15;
  uint16_t scale = 0;
  std::memcpy(&scale, group + kGroupCodes + row * 2, sizeof scale);
  return static_cast<float>(code < 8 ? code : code - 16) * widened(scale);
}

}  // namespace

uint8_t code8(Codes codes, float scaled) {
  const float magnitude = std::fabs(scaled);
  if (codes == Codes::int8) {
    const int rounded = static_cast<int>(std::min(std::nearbyint(magnitude), 127.0f));
    return static_cast<uint8_t>(scaled < 0 ? -rounded : rounded);
  }
  const uint8_t bits = fp8_bits(std::min(magnitude, kLargestFp8));
  return static_cast<uint8_t>(bits | (scaled < 0 && bits != 0 ? 0x80 : 0));
}

uint8_t fp8_bits(float magnitude) {
  constexpr float kSmallestNormal = 0x1p-6f, kStep = 0x1p-9f;
  if (magnitude < kSmallestNormal) return static_cast<uint8_t>(std::nearbyint(magnitude / kStep));
  const auto bits = std::bit_cast<uint32_t>(magnitude);
  const uint32_t rounded = (bits + 0x7ffff + ((bits >> 20) & 1)) >> 20;
  return static_cast<uint8_t>(rounded - ((127 - 7) << 3));
}

float fp8_value(uint8_t bits) {
  const int exponent = bits >> 3, mantissa = bits & 7;
  return exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                       : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

int64_t code_panel_bytes(Codes codes, int64_t columns) {
  if (codes == Codes::int4) return (columns + kGroupColumns - 1) / kGroupColumns * kGroupBytes;
  return columns * kPanelRows + kPanelRows * static_cast<int64_t>(sizeof(float));
}

void encode_panel(Codes codes, const float* values, int64_t columns, std::byte* panel) {
  if (codes == Codes::int4) return encode4(values, columns, panel);
  encode8(codes, values, columns, panel);
}

void decode_panel(Codes codes, const std::byte* panel, int64_t columns, float* values) {
  const auto* from = reinterpret_cast<const uint8_t*>(panel);
  PanelFloats scales{};
  if (codes != Codes::int4) std::memcpy(scales.data(), panel + columns * kPanelRows, sizeof scales);
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t row = 0; row < kPanelRows; ++row) {
      const int64_t at = column * kPanelRows + row;
      values[at] =
          codes == Codes::int4
              ? decoded4(from + column / kGroupColumns * kGroupBytes, column % kGroupColumns, row)
              : decoded8(codes, from[at]) * scales[static_cast<size_t>(row)];
    }
  }
}

}  // namespace packed
}  // namespace llm
