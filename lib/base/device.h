// What the user asked for as device and number format, as plain values: no tensor library here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

enum class DeviceKind { automatic, cpu, cuda };

struct DeviceChoice {
  DeviceKind kind = DeviceKind::automatic;
  int index = 0;  // of the CUDA device
  bool operator==(const DeviceChoice&) const = default;
};

/// As below, but absence instead of an error.
std::optional<DeviceChoice> read_device(std::string_view text);
/// auto | cpu | cuda | cuda:N. Anything else: Error(Exit::usage) "--device: 'gpu' is not supported;
/// choose auto, cpu, cuda, cuda:N".
DeviceChoice parse_device(std::string_view text);
std::string device_text(const DeviceChoice& choice);

/// `automatic` becomes cuda:0 if there is one, else cpu. A CUDA device that is absent:
/// Error(Exit::usage)
/// "--device cuda:3: no CUDA device found (this build/host has 0)", hint "--device cpu".
DeviceChoice resolve_device(const DeviceChoice& choice, int cuda_device_count);

/// auto, float32, bfloat16, float16.
const std::vector<std::string>& dtype_names();

/// The settings that every verb shares; rows at the top level of the config file.
class Fields;
struct RuntimeConfig {
  std::string device = "auto";
  std::string dtype = "auto";
  int64_t threads = 0;  // 0 = all cores of this process
  int64_t seed = 42;    // -1 = a fresh one, printed
  std::string encryption_key_file;  // empty = none (encryption_key.h)
  void fields(Fields& f);
};

/// Cores that this process may run on (affinity mask and cgroup quota), at least 1.
int usable_cores();

}  // namespace llm
