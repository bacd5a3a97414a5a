#include "base/late_library.h"

#include <dlfcn.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"

namespace llm {
namespace {

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

/// By its whole path: whoever has loaded this library need not know where it lies.
std::string beside_this_library(const char* library) {
  Dl_info here{};
  if (dladdr(reinterpret_cast<const void*>(&late_function), &here) == 0) return library;
  const std::filesystem::path path =
      std::filesystem::path(here.dli_fname).replace_filename(library);
  std::error_code unused;
  return std::filesystem::exists(path, unused) ? path.string() : library;
}

[[noreturn]] void refuse_library(const char* library) {
  const char* cause = dlerror();
  fail(Exit::internal, fmt::format("cannot load LibTorch: {}", cause ? cause : library),
       "LibTorch must lie where it lay when this program was built; build or install it again");
}

}  // namespace

void* late_function(const char* library, const char* function) {
  const std::string path = beside_this_library(library);
  void* opened = dlopen(path.c_str(), RTLD_LAZY | RTLD_GLOBAL | RTLD_NOLOAD);
  if (opened == nullptr) {
    make_room();
    opened = dlopen(path.c_str(), RTLD_LAZY | RTLD_GLOBAL);
  }
  if (opened == nullptr) refuse_library(library);
  void* found = dlsym(opened, function);
  if (found == nullptr) refuse_library(library);
  return found;
}

}  // namespace llm
