// The choice of a backend, and that the backends agree.
#include "model/kernels/cpu_backend.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "model/kernels/packed_kernels.h"
#include "model/kernels/rows.h"
#include "tests/kernels/kernel_test_support.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

TEST(CpuBackend, TheBestIsTakenUnlessALesserOneIsNamed) {
  EXPECT_EQ(choose_cpu_backend("", CpuBackend::avx512), CpuBackend::avx512);
  EXPECT_EQ(choose_cpu_backend("", CpuBackend::avx2), CpuBackend::avx2);
  EXPECT_EQ(choose_cpu_backend("avx2", CpuBackend::avx512), CpuBackend::avx2);
  EXPECT_EQ(choose_cpu_backend("none", CpuBackend::avx2), CpuBackend::none);
}

TEST(CpuBackend, WhatTheProcessorLacksOrNobodyKnowsIsRefused) {
  expect_error([] { choose_cpu_backend("avx512", CpuBackend::avx2); }, Exit::usage,
               "LLM_CPU_BACKEND: this processor cannot run avx512", "it can run avx2");
  expect_error([] { choose_cpu_backend("sse9", CpuBackend::avx2); }, Exit::usage,
               "LLM_CPU_BACKEND: 'sse9' is not one of avx512, avx2, none");
}

TEST(CpuBackend, TheTextNamesTheBackend) {
  EXPECT_TRUE(cpu_backend_text().starts_with(cpu_backend_name(cpu_backend())));
}

class BackendsAgree : public testing::Test {
 protected:
  void SetUp() override {
    if (cpu_backend() != CpuBackend::avx512) GTEST_SKIP() << "this CPU has one backend at most";
  }
  static std::vector<float> numbers(size_t count, int seed) {
    const at::Tensor x = normal({static_cast<int64_t>(count)}, static_cast<uint64_t>(seed));
    return {x.const_data_ptr<float>(), x.const_data_ptr<float>() + count};
  }
  static void expect_near(const std::vector<float>& a, const std::vector<float>& b, float bound) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], bound) << i;
  }
};

TEST_F(BackendsAgree, OnPanelProducts) {
  constexpr int64_t kColumns = 130, kCount = 13;
  alignas(64) static float panel[kColumns * packed::kPanelRows];
  const std::vector<float> weights = numbers(std::size(panel), 1),
                           x = numbers(kCount * kColumns, 2);
  std::copy(weights.begin(), weights.end(), panel);
  std::vector<float> one(kCount * 32), other(one);
  packed::avx512::panel_product(panel, x.data(), kColumns, kColumns, kCount, one.data(), 32, 32);
  packed::avx2::panel_product(panel, x.data(), kColumns, kColumns, kCount, other.data(), 32, 32);
  expect_near(one, other, 1e-4f);
}

TEST_F(BackendsAgree, OnRows) {
  constexpr int64_t kRows = 3, kColumns = 75;
  const std::vector<float> x = numbers(kRows * kColumns, 1), weight = numbers(kColumns, 2);
  std::vector<float> one(x.size()), other(x.size()), inverse(kRows);
  rows::avx512::rms_norm(x.data(), static_cast<const float*>(nullptr), weight.data(),
                         static_cast<float*>(nullptr), one.data(), inverse.data(), kRows, kColumns,
                         1e-5f);
  rows::avx2::rms_norm(x.data(), static_cast<const float*>(nullptr), weight.data(),
                       static_cast<float*>(nullptr), other.data(), inverse.data(), kRows, kColumns,
                       1e-5f);
  expect_near(one, other, 1e-5f);
}

}  // namespace
}  // namespace llm
