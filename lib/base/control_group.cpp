#include "base/control_group.h"

#include <algorithm>
#include <fstream>
#include <string>

namespace llm {
namespace {

namespace fs = std::filesystem;

/// The number that a file begins with; nothing where it says "max", or -1 as version 1 does.
std::optional<int64_t> number_in(std::istream& file) {
  int64_t number = 0;
  return file >> number && number > 0 ? std::optional(number) : std::nullopt;
}
std::optional<int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  return number_in(file);
}

template <typename Number>
void bound(std::optional<Number>& limit, std::optional<Number> other) {
  if (other) limit = limit ? std::min(*limit, *other) : *other;
}

std::optional<double> share(std::optional<int64_t> quota, std::optional<int64_t> period) {
  if (!quota || !period) return std::nullopt;
  return static_cast<double>(*quota) / static_cast<double>(*period);
}

/// One group, of either version: each has the files of its own controllers only.
void bound_by_group(const fs::path& folder, ControlGroupLimits& limits) {
  bound(limits.memory_bytes, number_in(folder / "memory.max"));
  bound(limits.memory_bytes, number_in(folder / "memory.limit_in_bytes"));
  std::ifstream quota_and_period(folder / "cpu.max");
  const auto quota = number_in(quota_and_period);
  bound(limits.cores, share(quota, number_in(quota_and_period)));
  bound(limits.cores,
        share(number_in(folder / "cpu.cfs_quota_us"), number_in(folder / "cpu.cfs_period_us")));
}

/// `group` below `mount`, and all above it: inside a container the names may be those of outside,
/// while `mount` itself is the container's group.
void bound_by_groups(const fs::path& mount, fs::path group, ControlGroupLimits& limits) {
  group = ("/" / group).lexically_normal().relative_path();  // "/../.." stays below the mount
  for (; !group.empty(); group = group.parent_path()) bound_by_group(mount / group, limits);
  bound_by_group(mount, limits);
}

}  // namespace

ControlGroupLimits control_group_limits(const fs::path& root) {
  ControlGroupLimits limits;
  const fs::path mounts = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // NUMBER:CONTROLLER,CONTROLLER:/GROUP
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path group = line.substr(second + 1);
    if (controllers == ",,") {  // version 2, of all controllers
      bound_by_groups(mounts, group, limits);
      bound_by_groups(mounts / "unified", group, limits);
    }
    for (const std::string controller : {"memory", "cpu"})
      if (controllers.find("," + controller + ",") != std::string::npos)
        bound_by_groups(mounts / controller, group, limits);
  }
  return limits;
}

}  // namespace llm
