#include "base/control_group.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/device.h"
#include "base/system_memory.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// A root with the files that the kernel would show.
struct Shown {
  TemporaryFolder folder;
  void file(const std::string& name, const std::string& content) const {
    fs::create_directories((folder / name).parent_path());
    folder.write(name, content);
  }
  void groups(const std::string& lines) const { file("proc/self/cgroup", lines); }
  ControlGroupLimits limits() const { return control_group_limits(folder.path()); }
};

TEST(ControlGroup, WithoutGroupsNothingIsBounded) {
  const Shown machine;
  EXPECT_EQ(machine.limits().memory_bytes, std::nullopt);
  EXPECT_EQ(machine.limits().cores, std::nullopt);
  machine.groups("0::/\n");
  EXPECT_EQ(machine.limits().memory_bytes, std::nullopt);
}

TEST(ControlGroup, AContainerOfVersion2IsBoundedByItsMount) {
  const Shown machine;
  machine.groups("0::/\n");
  machine.file("sys/fs/cgroup/memory.max", "2147483648\n");
  machine.file("sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(machine.limits().memory_bytes, 2147483648);
  EXPECT_EQ(machine.limits().cores, 1.5);
}

TEST(ControlGroup, TheTightestOfAllAboveCounts) {
  const Shown machine;
  machine.groups("0::/work.slice/llm.service\n");
  machine.file("sys/fs/cgroup/work.slice/memory.max", "1000000\n");
  machine.file("sys/fs/cgroup/work.slice/cpu.max", "max 100000\n");
  machine.file("sys/fs/cgroup/work.slice/llm.service/memory.max", "max\n");
  machine.file("sys/fs/cgroup/work.slice/llm.service/cpu.max", "50000 100000\n");
  machine.file("sys/fs/cgroup/other/memory.max", "1\n");
  EXPECT_EQ(machine.limits().memory_bytes, 1000000);
  EXPECT_EQ(machine.limits().cores, 0.5);
}

TEST(ControlGroup, Version1HasAMountForEachController) {
  const Shown machine;
  machine.groups("9:name=systemd:/\n5:cpu,cpuacct:/docker/1f\n4:memory:/docker/1f\n0::/\n");
  machine.file("sys/fs/cgroup/memory/memory.limit_in_bytes", "3000000\n");  // the container's own
  machine.file("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_quota_us", "300000\n");
  machine.file("sys/fs/cgroup/cpu/docker/1f/cpu.cfs_period_us", "100000\n");
  machine.file("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  machine.file("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(machine.limits().memory_bytes, 3000000);
  EXPECT_EQ(machine.limits().cores, 3.0);
}

TEST(ControlGroup, WhatCannotBeReadBoundsNothing) {
  const Shown machine;
  machine.groups("nonsense\n0:\n7:memory\n0::../../up\n");
  machine.file("up/memory.max", "5\n");
  machine.file("sys/up/memory.max", "5\n");
  machine.file("sys/fs/cgroup/memory.max", "much\n");
  machine.file("sys/fs/cgroup/cpu.max", "100000\n");
  EXPECT_EQ(machine.limits().memory_bytes, std::nullopt);
  EXPECT_EQ(machine.limits().cores, std::nullopt);
}

TEST(ControlGroup, ThisProcessHasMemoryAndCoresWithinItsLimits) {
  const ControlGroupLimits limits = control_group_limits();
  EXPECT_GT(usable_memory_bytes(), 0);
  EXPECT_LE(usable_memory_bytes(), limits.memory_bytes.value_or(INT64_MAX));
  EXPECT_LT(usable_cores(), limits.cores.value_or(1e9) + 1);
}

}  // namespace
}  // namespace llm
