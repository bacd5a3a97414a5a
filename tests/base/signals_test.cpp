#include "base/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file_io.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

TEST(StopSignal, TheFirstSignalIsARequest) {
  const struct {
    int number, exit_code;
    const char* name;
  } cases[] = {{SIGINT, 130, "SIGINT"},
               {SIGTERM, 143, "SIGTERM"},
               {SIGHUP, 129, "SIGHUP"},
               {SIGUSR1, 0, "SIGUSR1"}};
  for (const auto& expected : cases) {
    const StopSignal stop;
    EXPECT_FALSE(stop.requested());
    EXPECT_EQ(stop.exit_code(), 0);
    ::raise(expected.number);
    EXPECT_TRUE(stop.requested());
    EXPECT_EQ(stop.number(), expected.number);
    EXPECT_EQ(stop.exit_code(), expected.exit_code);
    EXPECT_STREQ(stop.name(), expected.name);
  }
}

TEST(StopSignal, ClearForgetsTheRequest) {
  StopSignal stop;
  StopSignal::request(SIGINT);
  stop.clear();
  EXPECT_FALSE(stop.requested());
}

TEST(StopSignal, OnlyOneAtATime) {
  const StopSignal stop;
  EXPECT_THROW(StopSignal second, Error);
}

void receive_twice() {
  const StopSignal stop;
  ::raise(SIGTERM);
  ::raise(SIGINT);
}

TEST(StopSignalDeathTest, TheSecondSignalEndsAtOnce) {
  EXPECT_EXIT(receive_twice(), testing::ExitedWithCode(130), "");
}

TEST(StopSignal, ATerminalThatGoesAwayMaySaySoTwice) {
  const StopSignal stop;
  ::raise(SIGHUP);
  ::raise(SIGHUP);
  EXPECT_EQ(stop.number(), SIGHUP);
}

TEST(StopSignal, NohupHolds) {
  const auto former = ::signal(SIGHUP, SIG_IGN);
  {
    const StopSignal stop;
    ::raise(SIGHUP);
    EXPECT_FALSE(stop.requested());
  }
  EXPECT_EQ(::signal(SIGHUP, former), SIG_IGN);
}

TEST(StopSignalDeathTest, TheFormerHandlerComesBack) {
  { const StopSignal stop; }
  EXPECT_EXIT(::raise(SIGTERM), testing::KilledBySignal(SIGTERM), "");
}

void write_past_the_limit(const std::filesystem::path& path) {
  ignore_write_signals();
  const rlimit limit{1000, 1000};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  try {
    OutputFile::create(path).write(std::string(5000, 'x'));
  } catch (const Error& error) {
    ::write(2, error.message().data(), error.message().size());
    ::_exit(static_cast<int>(error.code()));
  }
}

TEST(WriteSignalsDeathTest, AFileSizeLimitIsAnErrorOfTheWrite) {
  const TemporaryFolder folder;
  EXPECT_EXIT(write_past_the_limit(folder / "x"), testing::ExitedWithCode(4),
              "cannot write '.*x': File too large");
}

}  // namespace
}  // namespace llm
