#include "apps/torch_side.h"

#include <dlfcn.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "base/error.h"

namespace llm {
namespace {

constexpr const char* kLibrary = "libllm_torch_commands.so";

/// LibTorch's operators are some 60 MB of small objects. On huge pages, where the system gives
/// them, they are there a sixth sooner.
void make_room() {
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  mallopt(M_TOP_PAD, 64 << 20);
  void* some = std::malloc(size_t{64} << 10);  // with it the heap grows by that room
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(some) / kHugePage + 1) * kHugePage;
  const auto end = reinterpret_cast<uintptr_t>(sbrk(0));
  std::free(some);
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

[[noreturn]] void refuse_library() {
  const char* cause = dlerror();
  fail(Exit::internal, fmt::format("cannot load LibTorch: {}", cause ? cause : kLibrary),
       "LibTorch must lie where it lay when this program was built; build or install it again");
}

}  // namespace

const TorchSide& torch_side() {
  void* library = dlopen(kLibrary, RTLD_LAZY | RTLD_GLOBAL | RTLD_NOLOAD);
  if (library == nullptr) {
    make_room();
    library = dlopen(kLibrary, RTLD_LAZY | RTLD_GLOBAL);
  }
  if (library == nullptr) refuse_library();
  const auto side = reinterpret_cast<const TorchSide* (*)()>(dlsym(library, "llm_torch_side"));
  if (side == nullptr) refuse_library();
  return *side();
}

}  // namespace llm
