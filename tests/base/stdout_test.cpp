#include "base/stdout.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/signals.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

/// stdout is another descriptor while this lives.
class StdoutTo {
 public:
  explicit StdoutTo(int descriptor) : saved_(::dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    ::dup2(descriptor, STDOUT_FILENO);
    ::close(descriptor);
  }
  ~StdoutTo() {
    ::dup2(saved_, STDOUT_FILENO);
    ::close(saved_);
  }

 private:
  int saved_;
};

TEST(Stdout, ArrivesInOrderAfterFlush) {
  const TemporaryFolder folder;
  {
    const StdoutTo redirected(::open((folder / "out").c_str(), O_WRONLY | O_CREAT, 0600));
    write_stdout("a");
    write_stdout(std::string(100000, 'b'));
    write_stdout("c");
    flush_stdout();
  }
  EXPECT_EQ(folder.read("out"), "a" + std::string(100000, 'b') + "c");
}

TEST(Stdout, AFullDiskIsAnError) {
  const StdoutTo redirected(::open("/dev/full", O_WRONLY));
  write_stdout("lost");
  expect_error([] { flush_stdout(); }, Exit::io, "cannot write to stdout: No space left on device");
  EXPECT_NO_THROW(flush_stdout()) << "said once";
}

TEST(Stdout, AReaderThatWentAwayIsAnErrorWithoutWords) {
  ignore_write_signals();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const StdoutTo redirected(ends[1]);
  write_stdout("lost");
  expect_error([] { flush_stdout(); }, Exit::io, "");
}

void close_and_write() {
  ::close(STDOUT_FILENO);
  reserve_standard_descriptors();
  const TemporaryFolder folder;
  const int file = ::open((folder / "data").c_str(), O_WRONLY | O_CREAT, 0600);
  try {
    write_stdout("must not land in the data file");
    flush_stdout();
  } catch (const Error& error) {
    const bool safe = file != STDOUT_FILENO && folder.read("data").empty();
    ::write(2, error.message().data(), error.message().size());
    ::_exit(safe ? static_cast<int>(error.code()) : 99);
  }
}

TEST(StdoutDeathTest, AClosedStdoutIsAnErrorAndNeverADataFile) {
  EXPECT_EXIT(close_and_write(), testing::ExitedWithCode(4),
              "cannot write to stdout: Bad file descriptor");
}

}  // namespace
}  // namespace llm
