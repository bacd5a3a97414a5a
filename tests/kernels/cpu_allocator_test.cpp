#include "model/kernels/cpu_allocator.h"

#include <functional>

#include "model/kernels/reference.h"
#include "tests/kernels/kernel_test_support.h"

namespace llm {
namespace {

int64_t peak_of(const std::function<void()>& work) {
  const int64_t before = cpu_memory().in_use_bytes;
  reset_peak_cpu_memory();
  work();
  return cpu_memory().peak_in_use_bytes - before;
}

TEST(CpuAllocator, ReusesBlocksInsteadOfAskingTheSystem) {
  install_caching_cpu_allocator();
  const auto loop = [] {
    auto a = at::empty({1 << 20});
    auto b = at::empty({3000, 1000});
    a.fill_(1.0);
    b.copy_(a.narrow(0, 0, 1).expand_as(b));
  };
  loop();
  const int64_t fresh = cpu_memory().fresh_bytes, in_use = cpu_memory().in_use_bytes;
  for (int i = 0; i < 5; ++i) {
    loop();
  }
  EXPECT_EQ(cpu_memory().fresh_bytes, fresh);
  EXPECT_EQ(cpu_memory().in_use_bytes, in_use);
}

TEST(CpuAllocator, AlignsEverySizeToACacheLine) {
  install_caching_cpu_allocator();
  for (int64_t bytes : {1, 100, 4096, 32 << 10, (32 << 10) + 1, 3 << 20}) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(at::empty({bytes}, at::kByte).data_ptr()) % 64, 0u)
        << bytes;
  }
  EXPECT_EQ(at::empty({0}).numel(), 0);
}

// The promise of linear_cross_entropy: the logits of a large vocabulary never exist at once.
TEST(CpuAllocator, ChunkedHeadNeedsLessThanHalfTheMemoryOfTheWholeOne) {
  SKIP_WITHOUT_FUSED_KERNELS();
  install_caching_cpu_allocator();
  const int64_t vocab = 32000, channels = 64, rows = 1024;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    auto w = leaf(normal({vocab, channels}, 1)), h = leaf(normal({rows, channels}, 2, type));
    auto low = type == at::kFloat ? at::Tensor() : w.detach().to(type);
    auto targets = at::arange(rows, at::kLong);
    const int64_t whole =
        peak_of([&] { reference::linear_cross_entropy(h, w, targets, 1.0, {}).loss.backward(); });
    w.mutable_grad() = at::Tensor();
    const int64_t chunked = peak_of([&] {
      linear_cross_entropy(h, {w, low}, targets, 1.0).loss.backward();
    });
    EXPECT_LT(2 * chunked, whole);
    EXPECT_LT(chunked, rows * vocab * static_cast<int64_t>(sizeof(float)) / 2);
  }
}

}  // namespace
}  // namespace llm
