#include "apps/torch_side.h"

#include "base/late_library.h"

namespace llm {

const TorchSide& torch_side() {
  using Side = const TorchSide* (*)();
  return *reinterpret_cast<Side>(late_function("libllm_torch_commands.so", "llm_torch_side"))();
}

}  // namespace llm
