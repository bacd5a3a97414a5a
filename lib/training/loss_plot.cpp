#include "training/loss_plot.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_io.h"
#include "base/json_reader.h"
#include "base/number_text.h"

namespace llm {
namespace {

constexpr double kWidth = 800, kHeight = 460;
constexpr double kLeft = 64, kRight = 20, kTop = 40, kBottom = 48;
constexpr size_t kMostPoints = 600;

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// From data to picture coordinates.
struct Frame {
  double step_low, step_high, loss_low, loss_high;
  double x(double step) const {
    return kLeft + (step - step_low) / (step_high - step_low) * (kWidth - kLeft - kRight);
  }
  double y(double loss) const {
    return kHeight - kBottom -
           (loss - loss_low) / (loss_high - loss_low) * (kHeight - kTop - kBottom);
  }
};

Frame frame_of(const LossCurves& curves) {
  Frame frame{1e300, -1e300, 1e300, -1e300};
  for (const auto* points : {&curves.training, &curves.validation}) {
    for (const LossPoint& point : *points) {
      frame.step_low = std::min(frame.step_low, static_cast<double>(point.step));
      frame.step_high = std::max(frame.step_high, static_cast<double>(point.step));
      frame.loss_low = std::min(frame.loss_low, point.loss);
      frame.loss_high = std::max(frame.loss_high, point.loss);
    }
  }
  if (curves.floor) {
    frame.loss_low = std::min(frame.loss_low, *curves.floor);
  }
  const double margin = std::max({1e-3, 0.05 * (frame.loss_high - frame.loss_low),
                                  1e-6 * std::abs(frame.loss_high)});  // a number of its own
  frame.loss_low -= margin;
  frame.loss_high += margin;
  frame.step_high = std::max(frame.step_high, frame.step_low + 1);
  return frame;
}

std::string polyline(const Frame& frame, const std::vector<LossPoint>& points, const char* color) {
  std::string out = fmt::format(
      "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.8\" stroke-linejoin=\"round\" "
      "points=\"",
      color);
  for (const LossPoint& point : points) {
    out += fmt::format("{:.1f},{:.1f} ", frame.x(static_cast<double>(point.step)),
                       frame.y(point.loss));
  }
  out.back() = '"';
  return out + "/>\n";
}

std::string axes(const Frame& frame) {
  std::string out;
  for (const double loss : round_ticks(frame.loss_low, frame.loss_high, 8)) {
    const double y = frame.y(loss);
    out += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#ddd\"/>\n",
                       kLeft, kWidth - kRight, y, y);
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n", kLeft - 8,
                       y + 4, loss);
  }
  for (const double step : round_ticks(frame.step_low, frame.step_high, 8)) {
    if (step != std::floor(step)) continue;
    out +=
        fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", frame.x(step),
                    kHeight - kBottom + 20, human_count(static_cast<int64_t>(step)));
  }
  out += fmt::format("<path d=\"M{} {}V{}H{}\" fill=\"none\" stroke=\"#333\"/>\n", kLeft, kTop,
                     kHeight - kBottom, kWidth - kRight);
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">step</text>\n",
                     (kLeft + kWidth - kRight) / 2, kHeight - 8);
  out += fmt::format(
      "<text x=\"16\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {})\">loss (nats "
      "per token)</text>\n",
      (kTop + kHeight - kBottom) / 2, (kTop + kHeight - kBottom) / 2);
  return out;
}

std::string legend(const LossCurves& curves) {
  std::string out;
  double y = kTop + 14;
  const auto entry = [&](const char* color, const std::string& text, const char* dash) {
    out += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"2\"{}/>\n",
        kWidth - 230, kWidth - 206, y - 4, y - 4, color, dash);
    out += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>\n", kWidth - 200, y, text);
    y += 18;
  };
  entry("#1f77b4", fmt::format("training, last {:.4f}", curves.training.back().loss), "");
  if (!curves.validation.empty()) {
    entry("#d62728", fmt::format("validation, last {:.4f}", curves.validation.back().loss), "");
  }
  if (curves.floor) {
    entry("#2ca02c", fmt::format("entropy of the data {:.4f}", *curves.floor),
          " stroke-dasharray=\"6 4\"");
  }
  return out;
}

}  // namespace

std::vector<LossPoint> thinned(const std::vector<LossPoint>& points, size_t count) {
  if (points.size() <= count) {
    return points;
  }
  std::vector<LossPoint> out;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * points.size() / count;
    const size_t end = (i + 1) * points.size() / count;
    double sum = 0;
    for (size_t j = begin; j < end; ++j) {
      sum += points[j].loss;
    }
    out.push_back({points[end - 1].step, sum / static_cast<double>(end - begin)});
  }
  return out;
}

std::vector<double> round_ticks(double low, double high, int wanted) {
  const double rough = (high - low) / wanted;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double gap = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power * (1 + 1e-9)) {
      gap = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const auto first = static_cast<int64_t>(std::ceil(low / gap - 1e-9));
  for (int64_t i = first; static_cast<double>(i) * gap <= high + 1e-9 * gap; ++i) {
    ticks.push_back(static_cast<double>(i) * gap);
  }
  return ticks;
}

LossCurves read_loss_curves(const std::filesystem::path& run) {
  const std::filesystem::path file = run / "metrics.jsonl";
  const std::string text = read_file(file);
  LossCurves curves;
  curves.title = run.lexically_normal().string();
  int64_t line = 0;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    const std::string source = fmt::format("{}:{}", file.string(), ++line);
    const std::string_view written = std::string_view(text).substr(begin, end - begin);
    if (end + 1 == text.size() && !nlohmann::json::accept(written)) {
      break;  // a row that a run was killed in, or a disk was full under
    }
    const nlohmann::json document = parse_json(written, source);
    const JsonView row(document, source);
    const int64_t step = row.get_int("step", 0, INT64_MAX);
    if (row.has("loss")) {
      curves.training.push_back({step, row.get_double("loss", -1e300, 1e300)});
    }
    if (row.has("val_loss")) {
      curves.validation.push_back({step, row.get_double("val_loss", -1e300, 1e300)});
    }
  }
  check_input(!curves.training.empty(), "'{}' has no losses to draw", file.string());
  return curves;
}

std::string loss_plot_svg(const LossCurves& given) {
  LossCurves curves = given;
  curves.training = thinned(given.training, kMostPoints);
  curves.validation = thinned(given.validation, kMostPoints);
  const Frame frame = frame_of(curves);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" width=\"{}\" height=\"{}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n",
      kWidth, kHeight, kWidth, kHeight);
  svg += fmt::format("<rect width=\"{}\" height=\"{}\" fill=\"white\"/>\n", kWidth, kHeight);
  svg += fmt::format("<text x=\"{}\" y=\"24\" font-size=\"15\">{}</text>\n", kLeft,
                     escaped(curves.title));
  svg += axes(frame);
  if (curves.floor) {
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#2ca02c\" "
        "stroke-width=\"1.5\" stroke-dasharray=\"6 4\"/>\n",
        kLeft, kWidth - kRight, frame.y(*curves.floor), frame.y(*curves.floor));
  }
  svg += polyline(frame, curves.training, "#1f77b4");
  if (!curves.validation.empty()) {
    svg += polyline(frame, curves.validation, "#d62728");
    for (const LossPoint& point : curves.validation) {
      svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.6\" fill=\"#d62728\"/>\n",
                         frame.x(static_cast<double>(point.step)), frame.y(point.loss));
    }
  }
  return svg + legend(given) + "</svg>\n";
}

}  // namespace llm
