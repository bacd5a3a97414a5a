#include "base/device.h"

#include <sched.h>

#include <algorithm>
#include <cmath>

#include "base/config.h"
#include "base/control_group.h"
#include "base/error.h"
#include "base/number_text.h"

namespace llm {

std::optional<DeviceChoice> read_device(std::string_view text) {
  if (text == "auto") {
    return DeviceChoice{DeviceKind::automatic, 0};
  }
  if (text == "cpu") {
    return DeviceChoice{DeviceKind::cpu, 0};
  }
  if (text == "cuda") {
    return DeviceChoice{DeviceKind::cuda, 0};
  }
  if (text.starts_with("cuda:")) {
    const ParsedNumber<int64_t> index = parse_whole_number(text.substr(5));
    if (index && index.value >= 0 && index.value < 1024) {
      return DeviceChoice{DeviceKind::cuda, static_cast<int>(index.value)};
    }
  }
  return std::nullopt;
}

DeviceChoice parse_device(std::string_view text) {
  const std::optional<DeviceChoice> choice = read_device(text);
  check(choice.has_value(), "--device: '{}' is not supported; choose auto, cpu, cuda, cuda:N",
        text);
  return *choice;
}

std::string device_text(const DeviceChoice& choice) {
  switch (choice.kind) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::cuda:
      return fmt::format("cuda:{}", choice.index);
    default:
      return "auto";
  }
}

DeviceChoice resolve_device(const DeviceChoice& choice, int cuda_device_count) {
  if (choice.kind == DeviceKind::automatic) {
    return {cuda_device_count > 0 ? DeviceKind::cuda : DeviceKind::cpu, 0};
  }
  if (choice.kind == DeviceKind::cuda && choice.index >= cuda_device_count) {
    const std::string found =
        cuda_device_count == 0
            ? "no CUDA device found (this build/host has 0)"
            : fmt::format("no such CUDA device (this host has {})", cuda_device_count);
    fail(Exit::usage, fmt::format("--device {}: {}", device_text(choice), found),
         cuda_device_count == 0 ? "--device cpu"
                                : fmt::format("--device cuda:{}", cuda_device_count - 1));
  }
  return choice;
}

const std::vector<std::string>& dtype_names() {
  static const std::vector<std::string> names{"auto", "float32", "bfloat16", "float16"};
  return names;
}

void RuntimeConfig::fields(Fields& f) {
  f("device", device, "Where tensors live",
    matching([](const std::string& text) { return read_device(text).has_value(); },
             "auto, cpu, cuda, cuda:N"))
      .flag("device")
      .value_name("DEVICE");
  f("dtype", dtype,
    "Number format of weights and activations; auto = as stored, or what suits the device",
    one_of(dtype_names()))
      .flag("dtype");
  f("threads", threads, "CPU threads; 0 = all cores of this process", in_range(0, 4096))
      .flag("threads");
  f("seed", seed, "Seed of every random choice; -1 = a fresh one, which is printed",
    in_range(-1, 9007199254740991.0L))
      .flag("seed");
  f("encryption_key_file", encryption_key_file,
    "Key (32 bytes or 64 hex digits) that opens encrypted weights and encrypts what a run saves")
      .flag("encryption-key-file")
      .value_name("FILE");
}

int usable_cores() {
  int cores = 1;
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    cores = std::max(1, CPU_COUNT(&set));
  }
  const double share = control_group_limits().cores.value_or(cores);
  return std::max(1, static_cast<int>(std::ceil(std::min<double>(cores, share))));
}

}  // namespace llm
