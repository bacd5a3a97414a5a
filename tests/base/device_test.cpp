#include "base/device.h"

#include <gtest/gtest.h>

#include "base/config.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

TEST(Device, ReadsItsFourForms) {
  EXPECT_EQ(parse_device("auto"), (DeviceChoice{DeviceKind::automatic, 0}));
  EXPECT_EQ(parse_device("cpu"), (DeviceChoice{DeviceKind::cpu, 0}));
  EXPECT_EQ(parse_device("cuda"), (DeviceChoice{DeviceKind::cuda, 0}));
  EXPECT_EQ(parse_device("cuda:3"), (DeviceChoice{DeviceKind::cuda, 3}));
  EXPECT_EQ(device_text(parse_device("cuda:3")), "cuda:3");
  for (const char* text : {"", "gpu", "cuda:", "cuda:-1", "cuda:x", "cuda:01", "CPU"}) {
    expect_error(
        [&] { parse_device(text); }, Exit::usage,
        fmt::format("--device: '{}' is not supported; choose auto, cpu, cuda, cuda:N", text));
  }
}

TEST(Device, ResolvesAgainstWhatIsThere) {
  EXPECT_EQ(resolve_device(parse_device("auto"), 0), (DeviceChoice{DeviceKind::cpu, 0}));
  EXPECT_EQ(resolve_device(parse_device("auto"), 2), (DeviceChoice{DeviceKind::cuda, 0}));
  EXPECT_EQ(resolve_device(parse_device("cuda:1"), 2), (DeviceChoice{DeviceKind::cuda, 1}));
  expect_error([] { resolve_device(parse_device("cuda:3"), 0); }, Exit::usage,
               "--device cuda:3: no CUDA device found (this build/host has 0)", "--device cpu");
  expect_error([] { resolve_device(parse_device("cuda:3"), 2); }, Exit::usage,
               "--device cuda:3: no such CUDA device (this host has 2)", "--device cuda:1");
}

TEST(Device, RuntimeConfigChecksItsWords) {
  const auto apply = [](const std::string& flag, const std::string& value) {
    RuntimeConfig config;
    Fields fields;
    config.fields(fields);
    fields.apply_flag(flag, value);
    fields.finish();
    return config;
  };
  EXPECT_EQ(apply("device", "cuda:7").device, "cuda:7");
  EXPECT_EQ(apply("seed", "-1").seed, -1);
  expect_error([&] { apply("dtype", "fp8"); }, Exit::usage,
               "--dtype: 'fp8' is not supported; choose auto, float32, bfloat16, float16");
  expect_error([&] { apply("device", "gpu"); }, Exit::usage,
               "--device: 'gpu' is not supported; choose auto, cpu, cuda, cuda:N");
}

TEST(Device, AProcessHasAtLeastOneCore) { EXPECT_GE(usable_cores(), 1); }

}  // namespace
}  // namespace llm
