#include "apps/shared_options.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <algorithm>
#include <fstream>

#include "base/number_text.h"
#include "base/version.h"
#include "model/device.h"

namespace llm {
namespace {

/// One line of /proc/cpuinfo, without its name.
std::string cpu_fact(std::string_view name) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) {
      const size_t colon = line.find(": ");
      return colon == std::string::npos ? "" : line.substr(colon + 2);
    }
  }
  return "";
}

/// The instruction sets that matter here, of those that the processor names.
std::string cpu_features() {
  std::string flags = cpu_fact("flags");
  if (flags.empty()) {
    flags = cpu_fact("Features");  // ARM's word for it
  }
  flags = " " + flags + " ";
  std::string found;
  for (const char* name :
       {"avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16",
        "amx_bf16", "amx_int8", "asimd", "sve", "bf16"}) {
    if (flags.find(fmt::format(" {} ", name)) != std::string::npos) {
      found += fmt::format("{}{}", found.empty() ? "" : " ", name);
    }
  }
  return found.empty() ? "none of those known here" : found;
}

std::string value_of(const Fields& fields, std::string_view path) {
  const Field* row = fields.find(path);
  return row == nullptr ? "" : row->text();
}

}  // namespace

void SharedOptions::declare_missing(Fields& fields) {
  if (fields.find("device") == nullptr) {
    fields.section("", runtime);
  }
  if (fields.find("logging.level") == nullptr) {
    fields.section("logging", logging, "Log lines");
  }
  fields.show_also(
      {"device", "dtype", "threads", "seed", "logging.level", "logging.format", "logging.quiet"});
}

void apply_shared_options(const Fields& fields) {
  configure_log({value_of(fields, "logging.level"), value_of(fields, "logging.format"),
                 value_of(fields, "logging.quiet") == "true"});
  const int64_t threads = parse_whole_number(value_of(fields, "threads")).value;
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : usable_cores()));
  const std::string device = value_of(fields, "device");
  if (device != "auto" && device != "cpu") {
    resolve_device(device);
  }
}

std::string version_text() {
  const int cuda_devices = cuda_device_count();
  std::string devices = "cpu";
  for (int i = 0; i < cuda_devices; ++i) {
    devices += fmt::format(" cuda:{}", i);
  }
  return fmt::format(
      "llm {} (commit {}, {})\nLibTorch {}\nCPU {}, {} usable cores: {}\ndevices: {}\n",
      program_version(), program_commit(), build_type(), TORCH_VERSION, cpu_fact("model name"),
      usable_cores(), cpu_features(), devices);
}

}  // namespace llm
