// The loss curve of a run as an SVG picture: training loss by step, validation loss where there is
// one, and optionally a horizontal line for the best loss possible. Written by hand: a few hundred
// points at most (long runs are averaged down), no script, readable in any browser. No torch.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace llm {

struct LossPoint {
  int64_t step = 0;
  double loss = 0;
};

struct LossCurves {
  std::string title;
  std::vector<LossPoint> training;
  std::vector<LossPoint> validation;
  std::optional<double> floor;  // exact entropy of the data
};

/// Reads RUN/metrics.jsonl; rows whose loss is not a number are left out, and so is a torn last
/// one. Error(bad_input) where there is nothing to draw.
LossCurves read_loss_curves(const std::filesystem::path& run);

std::string loss_plot_svg(const LossCurves& curves);

/// At most `count` points: neighbours are averaged.
std::vector<LossPoint> thinned(const std::vector<LossPoint>& points, size_t count);

/// Round tick values inside [low, high], about `wanted` of them: 1, 2 or 5 times a power of ten
/// apart.
std::vector<double> round_ticks(double low, double high, int wanted);

}  // namespace llm
