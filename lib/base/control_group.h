// What the control groups of Linux, with which containers and services are bounded, leave to this
// process. Versions 1 and 2 (kernel documentation, admin-guide/cgroup-v1 and cgroup-v2.rst); the
// tightest bound of the group and of all above it counts, as far as they can be seen from inside.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

namespace llm {

struct ControlGroupLimits {
  std::optional<int64_t> memory_bytes;
  std::optional<double> cores;  // processor time per time: 1.5 = one and a half
};

/// Read anew at each call; what cannot be read bounds nothing. `root` stands for / in tests.
ControlGroupLimits control_group_limits(const std::filesystem::path& root = "/");

}  // namespace llm
