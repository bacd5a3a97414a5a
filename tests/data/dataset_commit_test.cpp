#include "data/dataset_commit.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>

#include "base/file_io.h"
#include "data/prepare.h"
#include "tests/data/byte_tokenizer.h"
#include "tests/data/data_test_support.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

const ByteTokenizer kCommitTokenizer;

/// Names and contents, those of temporaries too.
using Files = std::map<std::string, std::string>;

Files files_in(const fs::path& folder) {
  Files files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename().string()] = content_of(entry.path());
  }
  return files;
}

Files without_temporaries(Files files) {
  std::erase_if(files,
                [](const auto& file) { return file.first.find(".tmp-") != file.first.npos; });
  return files;
}

/// Conversations whose prompts are not learnt: a dataset with all its files.
PrepareOptions chats(const fs::path& folder, double val_fraction, const std::string& word) {
  std::ofstream rows(folder / (word + ".jsonl"));
  for (int i = 0; i < 40; ++i) {
    rows << R"({"messages": [{"role": "user", "content": "What is )" << i
         << R"(?"}, {"role": "assistant", "content": ")" << word << i << "\"}]}\n";
  }
  PrepareOptions options;
  options.inputs = {folder / (word + ".jsonl")};
  options.output = folder / "out" / "train";
  options.workers = 1;  // a FaultPlan counts in one thread
  options.val_fraction = val_fraction;
  options.chat.train_on_prompt = false;
  options.chat.chat_template = std::make_shared<const ChatTemplate>(ChatTemplate::parse(
      plain_chat_template(kCommitTokenizer), special_tokens_of(kCommitTokenizer)));
  return options;
}

PrepareOptions lines(const fs::path& folder, double val_fraction) {
  std::ofstream text(folder / "lines.txt");
  for (int i = 0; i < 40; ++i) text << "line " << i << "\n";
  PrepareOptions options;
  options.inputs = {folder / "lines.txt"};
  options.output = folder / "out" / "train";
  options.workers = 1;
  options.val_fraction = val_fraction;
  return options;
}

/// What lies in out/, and what is to replace it.
struct Replacement {
  std::string what;
  std::function<void(const fs::path&)> former;
  std::function<PrepareOptions(const fs::path&)> next;

  /// out/ as it was before and as it is to be after.
  std::pair<Files, Files> outcome() const {
    const Scratch scratch;
    fs::create_directory(scratch.path / "out");
    former(scratch.path);
    const Files before = files_in(scratch.path / "out");
    prepare_data(next(scratch.path), kCommitTokenizer);
    return {before, files_in(scratch.path / "out")};
  }
};

void put_files(const fs::path& folder, const Files& files) {
  fs::create_directory(folder);
  for (const auto& [name, content] : files) {
    std::ofstream(folder / name, std::ios::binary) << content;
  }
}

std::vector<Replacement> replacements() {
  const auto nothing = [](const fs::path&) {};
  const auto split_chats = [](const fs::path& folder) {
    prepare_data(chats(folder, 0.3, "old"), kCommitTokenizer);
  };
  const auto whole_lines = [](const fs::path& folder) {
    prepare_data(lines(folder, 0), kCommitTokenizer);
  };
  return {
      {"a new set", nothing, [](const fs::path& f) { return lines(f, 0); }},
      {"a new set in two parts", nothing, [](const fs::path& f) { return chats(f, 0.3, "new"); }},
      {"one part by one", whole_lines, [](const fs::path& f) { return chats(f, 0, "new"); }},
      {"one part by two", whole_lines, [](const fs::path& f) { return chats(f, 0.2, "new"); }},
      {"two parts by two", split_chats, [](const fs::path& f) { return lines(f, 0.2); }},
      {"two parts by one", split_chats, [](const fs::path& f) { return lines(f, 0); }},
  };
}

/// Where there is a file system in memory, the many syncs wait for no disk.
class DatasetCommitTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/shm", W_OK) == 0) ::setenv("TMPDIR", "/dev/shm", 1);
    testing::internal::CaptureStderr();  // what is said of a former validation part
  }
  void TearDown() override {
    testing::internal::GetCapturedStderr();
    before_.empty() ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", before_.c_str(), 1);
  }

 private:
  std::string before_ = std::getenv("TMPDIR") == nullptr ? "" : std::getenv("TMPDIR");
};

/// Every operation fails once: the files are, byte for byte, what they were, or all are new.
TEST_F(DatasetCommitTest, AnyFailingOperationLeavesTheFormerDataset) {
  for (const Replacement& replacement : replacements()) {
    const auto [before, wanted] = replacement.outcome();
    EXPECT_TRUE(before != wanted);
    bool failed = true;
    for (int n = 1; failed; ++n) {
      const Scratch scratch;
      put_files(scratch.path / "out", before);
      const PrepareOptions options = replacement.next(scratch.path);
      FaultPlan plan;
      plan.fail_operation(n, n % 2 == 0 ? EIO : ENOSPC);
      const auto [code, message] = error_of([&] { prepare_data(options, kCommitTokenizer); });
      failed = code != Exit::ok;
      EXPECT_TRUE(!failed || code == Exit::io) << message;
      EXPECT_TRUE(files_in(scratch.path / "out") == (failed ? before : wanted))
          << replacement.what << ", operation " << n << ": " << message;
      EXPECT_TRUE(failed || n == plan.operations() + 1) << "every operation had its turn";
    }
  }
}

bool opens(const fs::path& prefix) {
  return error_of([&] { TokenFile::open(prefix); }).first == Exit::ok;
}

/// Power is lost before operation n: the dataset is the old one, the new one, or refused, and the
/// same command mends it. False where there is no operation n.
bool lose_power(const Replacement& replacement, const std::pair<Files, Files>& outcome, int n,
                Loss loss) {
  const auto& [before, wanted] = outcome;
  const Scratch scratch;
  const fs::path out = scratch.path / "out";
  put_files(out, before);
  const PrepareOptions options = replacement.next(scratch.path);
  bool crashed = false;
  {
    FaultPlan plan;
    plan.crash_at(n);
    try {
      prepare_data(options, kCommitTokenizer);
    } catch (const SimulatedCrash&) {
      crashed = true;
    }
    plan.lose_unsynced(loss);
  }
  const Files left = without_temporaries(files_in(out));
  EXPECT_TRUE(left == before || left == wanted || !opens(out / "train"))
      << replacement.what << ", operation " << n;
  EXPECT_TRUE(crashed || left == wanted) << "after commit nothing can be lost";
  prepare_data(options, kCommitTokenizer);
  EXPECT_TRUE(files_in(out) == wanted) << replacement.what << ", again after operation " << n;
  return crashed;
}

TEST_F(DatasetCommitTest, ACrashLeavesTheOldOrTheNewDatasetOrOneThatIsRefused) {
  for (const Replacement& replacement : replacements()) {
    const std::pair<Files, Files> outcome = replacement.outcome();
    for (const Loss loss : {Loss::data_and_names, Loss::data_only, Loss::names_only}) {
      for (int n = 1; lose_power(replacement, outcome, n, loss); ++n) {
      }
    }
  }
}

TEST_F(DatasetCommitTest, AStopRequestBeforeTheLastStepLeavesTheFormerDataset) {
  const Scratch scratch;
  PrepareOptions options = lines(scratch.path, 0.2);
  int questions = 0;
  options.stop_requested = [&] { return ++questions < 0; };
  prepare_data(options, kCommitTokenizer);
  const Files before = files_in(scratch.path / "out");

  options = lines(scratch.path, 0);
  int asked = 0;
  options.stop_requested = [&] { return ++asked == questions; };
  EXPECT_TRUE(prepare_data(options, kCommitTokenizer).stopped);
  EXPECT_TRUE(files_in(scratch.path / "out") == before);
}

/// A writer by itself takes away all that belonged to the former dataset, and nothing if it fails.
TEST_F(DatasetCommitTest, AWriterAloneReplacesAllFilesOrNone) {
  for (int n = 1;; ++n) {
    const Scratch scratch;
    prepare_data(chats(scratch.path, 0, "old"), kCommitTokenizer);
    const fs::path out = scratch.path / "out";
    const Files before = files_in(out);
    ASSERT_EQ(before.size(), 5u) << "index, bin, sum, mask, jinja";
    FaultPlan plan;
    plan.fail_operation(n, ENOSPC);
    const auto [code, message] = error_of([&] { write_sequences(out / "train", {{5, 6}, {7}}); });
    const Files after = files_in(out);
    if (code == Exit::ok) {
      EXPECT_EQ(after.size(), 3u) << "index, bin, sum";
      EXPECT_EQ(TokenFile::open(out / "train").tokens(), 3);
      break;
    }
    EXPECT_TRUE(after == before) << "operation " << n << ": " << message;
  }
}

/// What a process killed among its renames left of a validation part is nobody's set.
TEST_F(DatasetCommitTest, HalfOfAValidationPartGoesWithTheNextOneThatSplitsNothing) {
  const Scratch scratch;
  prepare_data(lines(scratch.path, 0.3), kCommitTokenizer);
  const fs::path out = scratch.path / "out";
  fs::remove(out / "train.index");
  fs::remove(out / "val.index");
  prepare_data(lines(scratch.path, 0), kCommitTokenizer);
  EXPECT_EQ(TokenFile::open(out / "train").sequences(), 40);
  EXPECT_FALSE(is_token_file(out / "val"));
  EXPECT_EQ(files_in(out).size(), 3u);
}

}  // namespace
}  // namespace llm
