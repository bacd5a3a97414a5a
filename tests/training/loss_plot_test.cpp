#include "training/loss_plot.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file_io.h"
#include "tests/training/scratch.h"

namespace llm {
namespace {

TEST(LossPlot, TicksAreRoundAndInside) {
  EXPECT_EQ(round_ticks(0.3, 3.2, 6), (std::vector<double>{0.5, 1, 1.5, 2, 2.5, 3}));
  EXPECT_EQ(round_ticks(0, 1000, 5), (std::vector<double>{0, 200, 400, 600, 800, 1000}));
}

TEST(LossPlot, ALossThatStaysTheSameIsDrawnHoweverLarge) {
  for (const double loss : {0.0, 2.5, 1e17, 1e300}) {
    const std::string svg = loss_plot_svg({"run", {{1, loss}, {2, loss}}, {}, {}});
    EXPECT_LT(svg.size(), 4000u) << loss;
    EXPECT_EQ(svg.find("nan"), std::string::npos) << loss;
  }
}

TEST(LossPlot, StepsAreNamedOnceAndWhole) {
  const std::string svg = loss_plot_svg({"run", {{1, 3}, {2, 2}, {3, 1}}, {}, {}});
  for (const char* label : {">1</text>", ">2</text>", ">3</text>"}) {
    size_t found = 0;
    for (size_t at = 0; (at = svg.find(std::string("\"middle\"") + label, at)) != std::string::npos;
         ++at) {
      ++found;
    }
    EXPECT_EQ(found, 1u) << label;
  }
}

TEST(LossPlot, ThinningKeepsMeansAndTheLastStep) {
  std::vector<LossPoint> points;
  for (int64_t i = 1; i <= 1000; ++i) {
    points.push_back({i, static_cast<double>(i)});
  }
  const auto few = thinned(points, 10);
  ASSERT_EQ(few.size(), 10u);
  EXPECT_EQ(few.back().step, 1000);
  EXPECT_DOUBLE_EQ(few[0].loss, 50.5);
  EXPECT_EQ(thinned(points, 2000).size(), 1000u);
}

TEST(LossPlot, ReadsMetricsAndLeavesOutWhatIsNotANumber) {
  const Scratch run;
  OutputFile::create(run.path / "metrics.jsonl")
      .write(
          "{\"step\":1,\"loss\":3.5}\n{\"step\":2,\"loss\":null}\n{\"step\":3,\"loss\":2.5,\"val_"
          "loss\":2.75}\n");
  const LossCurves curves = read_loss_curves(run.path);
  ASSERT_EQ(curves.training.size(), 2u);
  EXPECT_EQ(curves.training[1].step, 3);
  ASSERT_EQ(curves.validation.size(), 1u);
  EXPECT_EQ(curves.validation[0].loss, 2.75);
  OutputFile::create(run.path / "metrics.jsonl").write("");
  EXPECT_THROW(read_loss_curves(run.path), Error);
}

TEST(LossPlot, LeavesOutATornLastRowAndRefusesOneBeforeIt) {
  const Scratch run;
  const auto write = [&](const std::string& text) {
    OutputFile::create(run.path / "metrics.jsonl").write(text);
  };
  for (const char* torn : {"{\"step\":2,\"lo", "{\"step\":2,\"lo\n", "{\"step\":2,\"loss\":2.5}"}) {
    write("{\"step\":1,\"loss\":3.5}\n" + std::string(torn));
    EXPECT_EQ(read_loss_curves(run.path).training.size(), 1u) << torn;
  }
  write("{\"step\":1,\"lo\n{\"step\":2,\"loss\":2.5}\n");
  EXPECT_THROW(read_loss_curves(run.path), Error);
}

TEST(LossPlot, DrawsBothCurvesTheFloorAndEscapesTheTitle) {
  LossCurves curves{"a <b> & c", {{1, 4.0}, {10, 2.0}}, {{10, 2.5}}, 0.5};
  const std::string svg = loss_plot_svg(curves);
  EXPECT_TRUE(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  EXPECT_NE(svg.find("a &lt;b&gt; &amp; c"), std::string::npos);
  EXPECT_NE(svg.find("training, last 2.0000"), std::string::npos);
  EXPECT_NE(svg.find("validation, last 2.5000"), std::string::npos);
  EXPECT_NE(svg.find("entropy of the data 0.5000"), std::string::npos);
  EXPECT_EQ(loss_plot_svg({"one point", {{5, 1.0}}, {}, {}}).find("nan"), std::string::npos);
}

}  // namespace
}  // namespace llm
