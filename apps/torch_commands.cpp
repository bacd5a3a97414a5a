// What apps/torch_side.h asks of LibTorch.
#include <ATen/Parallel.h>
#include <torch/version.h>

#include <fstream>

#include "apps/commands.h"
#include "apps/shared_options.h"
#include "apps/torch_side.h"
#include "base/number_text.h"
#include "base/version.h"
#include "model/device.h"
#include "model/kernels/cpu_backend.h"

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

std::string torch_version_text() {
  const int cuda_devices = cuda_device_count();
  std::string devices = "cpu";
  for (int i = 0; i < cuda_devices; ++i) {
    devices += fmt::format(" cuda:{}", i);
  }
  return fmt::format(
      "llm {} (commit {}, {})\nLibTorch {}\nCPU {}, {} usable cores: {}\nkernels: {}\ndevices: "
      "{}\n",
      program_version(), program_commit(), build_type(), TORCH_VERSION, cpu_fact("model name"),
      usable_cores(), cpu_features(), cpu_backend_text(), devices);
}

void set_torch_threads(const Fields& fields) {
  const int64_t threads = parse_whole_number(shared_value(fields, "threads")).value;
  at::set_num_threads(static_cast<int>(threads > 0 ? threads : usable_cores()));
}

/// The table of the verbs that need LibTorch.
std::vector<Command> torch_commands() {
  std::vector<Command> commands;
  commands.push_back(pretrain_command());
  commands.push_back(finetune_command());
  commands.push_back(resume_check_command());
  commands.push_back(convert_command());
  commands.push_back(verify_export_command());
  commands.push_back(inspect_command());
  for (Command& command : commands) {
    command.run = [run = std::move(command.run)](const Fields& fields) {
      set_torch_threads(fields);
      return run(fields);
    };
  }
  return commands;
}

}  // namespace
}  // namespace llm

extern "C" const llm::TorchSide* llm_torch_side() {
  static constexpr llm::TorchSide side = {
      .commands = llm::torch_commands,
      .check_device = [](std::string_view device) { llm::resolve_device(device); },
      .version_text = llm::torch_version_text};
  return &side;
}
