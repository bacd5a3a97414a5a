#include "base/late_library.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"

namespace llm {
namespace {

TEST(LateLibrary, GivesAFunctionOfALibraryBesideThisOne) {
  void* found = late_function("libllm_base.so", "_ZN3llm13late_functionEPKcS1_");
  EXPECT_EQ(found, reinterpret_cast<void*>(&late_function));
}

TEST(LateLibrary, AMissingLibraryOrFunctionIsSaidInOneLine) {
  expect_error_with([] { late_function("libllm_nothing.so", "x"); }, Exit::internal,
                    "cannot load LibTorch: libllm_nothing.so");
  expect_error_with([] { late_function("libllm_base.so", "no_such_function"); }, Exit::internal,
                    "no_such_function");
}

}  // namespace
}  // namespace llm
