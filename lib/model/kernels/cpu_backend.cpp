#include "model/kernels/cpu_backend.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "base/error.h"

namespace llm {
namespace {

constexpr std::array<std::pair<std::string_view, CpuBackend>, 3> kBackends = {{
    {"none", CpuBackend::none},
    {"avx2", CpuBackend::avx2},
    {"avx512", CpuBackend::avx512},
}};

/// The first instruction set that a backend needs and this processor lacks; "" where it has all.
std::string_view missing_for_avx2() {
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx2")) return "avx2";
  if (!__builtin_cpu_supports("fma")) return "fma";
  return "";
#else
  return "avx2";
#endif
}

std::string_view missing_for_avx512() {
  if (const std::string_view missing = missing_for_avx2(); !missing.empty()) return missing;
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx512f")) return "avx512f";
  if (!__builtin_cpu_supports("avx512bw")) return "avx512bw";
  if (!__builtin_cpu_supports("avx512vl")) return "avx512vl";
  if (!__builtin_cpu_supports("avx512dq")) return "avx512dq";
  if (!__builtin_cpu_supports("avx512bf16")) return "avx512bf16";
#endif
  return "";
}

CpuBackend best_backend() {
  if (missing_for_avx512().empty()) return CpuBackend::avx512;
  return missing_for_avx2().empty() ? CpuBackend::avx2 : CpuBackend::none;
}

}  // namespace

std::string_view cpu_backend_name(CpuBackend backend) {
  return kBackends[static_cast<size_t>(backend)].first;
}

CpuBackend choose_cpu_backend(std::string_view name, CpuBackend best) {
  if (name.empty()) return best;
  for (const auto& [known, backend] : kBackends) {
    if (known != name) continue;
    if (backend > best)
      fail(Exit::usage, fmt::format("LLM_CPU_BACKEND: this processor cannot run {}", name),
           fmt::format("it can run {}", cpu_backend_name(best)));
    return backend;
  }
  fail(Exit::usage, fmt::format("LLM_CPU_BACKEND: '{}' is not one of avx512, avx2, none", name));
}

CpuBackend cpu_backend() {
  static const CpuBackend chosen = [] {
    const char* name = std::getenv("LLM_CPU_BACKEND");
    return choose_cpu_backend(name == nullptr ? "" : name, best_backend());
  }();
  return chosen;
}

bool has_cpu_backend() { return cpu_backend() != CpuBackend::none; }

std::string cpu_backend_text() {
  const CpuBackend backend = cpu_backend();
  std::string text(cpu_backend_name(backend));
  if (backend < best_backend()) return text + " (LLM_CPU_BACKEND)";
  const std::string_view missing = backend == CpuBackend::avx512 ? ""
                                   : backend == CpuBackend::avx2 ? missing_for_avx512()
                                                                 : missing_for_avx2();
  if (!missing.empty()) text += fmt::format(" (this processor has no {})", missing);
  return text;
}

}  // namespace llm
