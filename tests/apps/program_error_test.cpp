#include "apps/program_error.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>

namespace llm {
namespace {

Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (...) {
    return error_in_flight();
  }
  return {Exit::ok, "nothing was thrown"};
}

void expect_out_of_memory(const std::function<void()>& action) {
  const Error error = error_of(action);
  EXPECT_EQ(error.message(), "not enough memory");
  EXPECT_EQ(error.hint(), "a smaller batch, sequence length or model needs less");
  EXPECT_EQ(error.code(), Exit::internal);
}

TEST(ProgramError, MemoryThatIsRefusedHasOneMessage) {
  expect_out_of_memory([] { throw std::bad_alloc(); });
  expect_out_of_memory([] { std::string().resize(std::string().max_size() + 1); });
  expect_out_of_memory(
      [] { throw std::runtime_error("CUDA out of memory. Tried to allocate 20 GiB"); });
}

// LibTorch's own words for a host without memory, and for a size that it cannot even count.
TEST(ProgramError, LibTorchSaysItInItsOwnWords) {
  expect_out_of_memory([] {
    throw std::runtime_error(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 288230376151711744 bytes. Error code 12 (Cannot allocate memory)\n"
        "frame #0: c10::ThrowEnforceNotMet");
  });
  expect_out_of_memory([] {
    throw std::runtime_error(
        "Storage size calculation overflowed with sizes=[4611686018427387904]");
  });
}

TEST(ProgramError, OtherErrorsStayWhatTheyAre) {
  const Error own = error_of([] { fail(Exit::numerical, "the loss is NaN", "a lower rate"); });
  EXPECT_EQ(own.message(), "the loss is NaN");
  EXPECT_EQ(own.hint(), "a lower rate");
  EXPECT_EQ(own.code(), Exit::numerical);
  const Error file =
      error_of([] { static_cast<void>(std::filesystem::file_size("/no/such/file")); });
  EXPECT_EQ(file.message(), "'/no/such/file': No such file or directory");
  EXPECT_EQ(file.code(), Exit::io);
  const Error defect = error_of([] { throw std::runtime_error("first line\nand pages more"); });
  EXPECT_EQ(defect.message(), "internal error: first line");
  EXPECT_EQ(defect.code(), Exit::internal);
}

}  // namespace
}  // namespace llm
