// Data files that change under a reader (reliability T14).
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mapped_file.h"
#include "data/packed_dataset.h"
#include "tests/data/data_test_support.h"

namespace llm {
namespace {

/// Runs `action` in a child; its exit status and what it wrote to stderr.
template <typename Action>
std::pair<int, std::string> in_child(const Scratch& scratch, Action action) {
  std::filesystem::path log = scratch.path / "stderr";
  pid_t child = fork();
  if (child == 0) {
    if (freopen(log.c_str(), "w", stderr) == nullptr) {
      _exit(99);
    }
    action();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), content_of(log)};
}

void write_long_dataset(const std::filesystem::path& prefix, int32_t id) {
  write_sequences(prefix, std::vector<std::vector<int32_t>>(64, std::vector<int32_t>(4096, id)));
}

TEST(MappedDataset, AFileThatShrinksWhileMappedIsNamedWithExitFour) {
  Scratch scratch;
  write_long_dataset(scratch.path / "x", 7);
  auto [status, message] = in_child(scratch, [&] {
    set_mapping_activity("training");
    PackedDataset dataset(TokenFile::open(scratch.path / "x"), 1024);
    std::filesystem::resize_file(scratch.path / "x.bin", 8192);
    std::vector<int64_t> window(1025);
    dataset.copy_window(dataset.size() - 1, window);
  });
  EXPECT_EQ(status, 4);
  EXPECT_NE(message.find("x.bin' changed size during training (SIGBUS at offset "),
            std::string::npos)
      << message;
}

TEST(MappedDataset, AFileThatIsReplacedIsReadToTheEndInItsOldForm) {
  Scratch scratch;
  write_long_dataset(scratch.path / "x", 7);
  PackedDataset dataset(TokenFile::open(scratch.path / "x", {"", 100}), 1024);
  write_long_dataset(scratch.path / "x", 9);  // renamed over: the mapping keeps the old file
  std::vector<int64_t> window(1025);
  dataset.copy_window(dataset.size() - 1, window);
  EXPECT_EQ(window, std::vector<int64_t>(1025, 7));
}

TEST(MappedDataset, BytesOverwrittenInPlaceAreCaughtByTheRangeCheck) {
  Scratch scratch;
  write_long_dataset(scratch.path / "x", 7);
  PackedDataset dataset(TokenFile::open(scratch.path / "x", {"", 100}), 1024);
  {
    std::fstream file(scratch.path / "x.bin", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4 + 4 * 500);
    int32_t id = 100;
    file.write(reinterpret_cast<const char*>(&id), 4);
  }
  std::vector<int64_t> window(1025);
  expect_error(Exit::bad_input, "token 100 at index 500 is \u2265 vocab_size 100",
               [&] { dataset.copy_window(0, window); });
}

}  // namespace
}  // namespace llm
