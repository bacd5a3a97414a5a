// Which of the kernels compiled for several instruction sets this process uses.
//
// Every kernel of rows.h, attention_tiles.h, packed_kernels.h and lora_rows.h exists once for each
// backend, in a namespace of the backend's name; the function of the same name above chooses. Their
// sums are added in another order, so results agree to rounding between backends and bit for bit
// within one. What no backend computes, callers do with LibTorch's own operators (reference.h).
//
// LLM_CPU_BACKEND=avx512|avx2|none takes a lesser backend than the best, to compare or to test.
#pragma once

#include <string>
#include <string_view>

namespace llm {

enum class CpuBackend {
  none,    // LibTorch's operators
  avx2,    // AVX2 and FMA
  avx512,  // AVX-512 F, BW, VL, DQ and BF16
};

/// The best that the processor has, or what LLM_CPU_BACKEND says. Error(usage) at the first call
/// where that names no backend or one that this processor lacks. Decided once.
CpuBackend cpu_backend();
/// Whether there is one: kernels fuse, and models may run packed.
bool has_cpu_backend();
/// "avx512"
std::string_view cpu_backend_name(CpuBackend backend);
/// What `name` (the variable's value; "": the best) means on a processor whose best is `best`.
CpuBackend choose_cpu_backend(std::string_view name, CpuBackend best);
/// For the log and `llm --version`: "avx2 (this processor has no avx512bf16)".
std::string cpu_backend_text();

}  // namespace llm

/// Defines, for a function that both backends have, the one that chooses between them.
#define LLM_CHOOSE_BACKEND(function)                                                     \
  template <typename... Args>                                                            \
  auto function(Args... args) {                                                          \
    return ::llm::cpu_backend() == ::llm::CpuBackend::avx512 ? avx512::function(args...) \
                                                             : avx2::function(args...);  \
  }
