#include "training/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_io.h"
#include "tests/training/scratch.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

void write_text(const fs::path& file, const std::string& text) {
  make_directories(file.parent_path());
  OutputFile out = OutputFile::create(file);
  out.write(text);
  out.close();
}

/// A checkpoint's files with a content that names the step.
std::vector<CheckpointPart> parts_of(int64_t step) {
  return {[step](const fs::path& directory) {
            write_text(directory / "config.json", "{\"step\": " + std::to_string(step) + "}");
            write_text(directory / "model.safetensors",
                       std::string(3000, static_cast<char>('a' + step % 26)));
          },
          [step](const fs::path& directory) {
            write_text(directory / "training_state" / "optimizer.safetensors",
                       std::string(5000, static_cast<char>('A' + step % 26)));
            write_text(directory / "training_state" / "state.json", "{}");
          }};
}

void save(const fs::path& run, int64_t step) { save_checkpoint(run, step, parts_of(step), 0); }

std::string message_of(const std::function<void()>& call, Exit code = Exit::bad_input) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    return error.message();
  }
  return "no error";
}

TEST(Checkpoint, SaveWritesManifestAndMovesLatest) {
  const Scratch run;
  save(run.path, 7);
  verify_checkpoint(run.path / "step-00000007");
  EXPECT_EQ(fs::read_symlink(run.path / "latest"), "step-00000007");
  save(run.path, 9);
  EXPECT_EQ(fs::read_symlink(run.path / "latest"), "step-00000009");
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{7, 9}));
}

TEST(Checkpoint, SavingAStepAgainReplacesIt) {
  const Scratch run;
  save(run.path, 7);
  save_checkpoint(run.path, 7, parts_of(8), 0);
  verify_checkpoint(run.path / "step-00000007");
  EXPECT_EQ(read_file(run.path / "step-00000007" / "model.safetensors")[0], 'a' + 8);
}

// Reliability T5: one flipped byte, a truncation or a deletion of any file is named, and only auto
// falls back, saying so.
TEST(Checkpoint, DamageToAnyFileIsNamedAndOnlyAutoFallsBack) {
  const std::vector<std::string> files = {"config.json", "model.safetensors",
                                          "training_state/optimizer.safetensors",
                                          "training_state/state.json", "manifest.json"};
  for (const std::string& file : files) {
    for (const std::string damage : {"flip", "truncate", "delete"}) {
      const Scratch run;
      save(run.path, 1);
      save(run.path, 2);
      const fs::path victim = run.path / "step-00000002" / file;
      std::string content = read_file(victim);
      if (damage == "flip") {
        content[content.size() / 2] ^= 1;
        write_text(victim, content);
      } else if (damage == "truncate") {
        write_text(victim, content.substr(0, content.size() / 2));
      } else {
        fs::remove(victim);
      }
      const std::string message =
          message_of([&] { choose_checkpoint(run.path, run.path / "step-00000002"); });
      const std::string expected =
          file == "manifest.json" && damage == "delete" ? "no manifest" : file;
      EXPECT_NE(message.find("step-00000002"), std::string::npos) << damage << ": " << message;
      if (file != "manifest.json") {
        EXPECT_NE(message.find(expected), std::string::npos) << damage << ": " << message;
      }
      EXPECT_NE(message_of([&] { choose_checkpoint(run.path, run.path); }), "no error")
          << "a path never falls back";
      const auto choice = choose_checkpoint(run.path, "auto");
      ASSERT_TRUE(choice);
      EXPECT_EQ(choice->checkpoint.filename(), "step-00000001");
      ASSERT_EQ(choice->passed_over.size(), 1u);
      EXPECT_EQ(choice->passed_over[0], message);
      EXPECT_TRUE(fs::exists(run.path / "step-00000002.damaged"));
    }
  }
}

TEST(Checkpoint, EveryFlippedByteOfTheManifestIsFoundOrHarmless) {
  const Scratch run;
  save(run.path, 2);
  const fs::path manifest = run.path / "step-00000002" / "manifest.json";
  const std::string good = read_file(manifest);
  int accepted = 0;
  for (size_t at = 0; at < good.size(); ++at) {
    std::string damaged = good;
    damaged[at] ^= 1;
    write_text(manifest, damaged);
    try {
      verify_checkpoint(run.path / "step-00000002");
      ++accepted;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::bad_input);
    }
  }
  EXPECT_EQ(accepted, 0);
}

TEST(Checkpoint, MessagesAreThoseOfTheReliabilityTable) {
  const Scratch run;
  EXPECT_EQ(message_of([&] { latest_checkpoint(run.path); }),
            "no checkpoint in '" + run.path.string() + "'");
  save(run.path, 400);
  save(run.path, 500);
  const fs::path newest = run.path / "step-00000500";
  fs::remove(newest / "training_state" / "optimizer.safetensors");
  EXPECT_EQ(message_of([&] { verify_checkpoint(newest); }),
            "step-00000500: training_state/optimizer.safetensors is missing");
  save(run.path, 500);
  write_text(newest / "model.safetensors", "short");
  EXPECT_EQ(message_of([&] { verify_checkpoint(newest); }),
            "step-00000500/model.safetensors: 5 bytes, manifest says 3000");
  write_text(newest / "model.safetensors", std::string(3000, '!'));
  EXPECT_EQ(message_of([&] { verify_checkpoint(newest); }),
            "step-00000500/model.safetensors is damaged (sha256 differs)");
  fs::remove(newest / "manifest.json");
  EXPECT_EQ(message_of([&] { verify_checkpoint(newest); }),
            "step-00000500 is incomplete (no manifest; save was interrupted)");
  replace_symlink(run.path / "latest", "step-00000900");
  fs::remove_all(newest);
  EXPECT_EQ(message_of([&] { choose_checkpoint(run.path, run.path); }),
            "latest -> step-00000900 does not exist; newest complete is step-00000400");
  EXPECT_EQ(message_of([&] { choose_checkpoint(run.path, run.path / "no-such"); }),
            "checkpoint '" + (run.path / "no-such").string() + "' does not exist");
}

TEST(Checkpoint, ANewerFormatAndNamesThatLeadOutsideAreRefused) {
  const Scratch run;
  save(run.path, 1);
  const fs::path manifest = run.path / "step-00000001" / "manifest.json";
  const std::string good = read_file(manifest);
  std::string newer = good;
  newer.replace(newer.find("\"format\": 1"), 11, "\"format\": 4");
  write_text(manifest, newer);
  EXPECT_EQ(message_of([&] { verify_checkpoint(manifest.parent_path()); }),
            "checkpoint format 4 is newer than this program (1)");
  for (const std::string name : {"../../etc/x", "/etc/passwd", "a/../b", "./a", ""}) {
    std::string evil = good;
    evil.replace(evil.find("model.safetensors"), 17, name);
    write_text(manifest, evil);
    EXPECT_EQ(message_of([&] { verify_checkpoint(manifest.parent_path()); }),
              "step-00000001: manifest names '" + name + "', outside the checkpoint");
  }
}

TEST(Checkpoint, PickleFilesAreRefusedWithAHint) {
  const Scratch run;
  write_text(run.path / "model.pt", "PK");
  EXPECT_EQ(message_of([&] { choose_checkpoint(run.path, run.path / "model.pt"); }),
            "PyTorch pickle files are not loaded (they can run code)");
}

TEST(Checkpoint, AutoStartsFreshOnlyWhereThereIsNoCheckpointAtAll) {
  const Scratch run;
  EXPECT_FALSE(choose_checkpoint(run.path, "auto"));
  save(run.path, 3);
  fs::remove(run.path / "step-00000003" / "manifest.json");
  EXPECT_NE(message_of([&] { choose_checkpoint(run.path, "auto"); }).find("no checkpoint of"),
            std::string::npos);
  EXPECT_FALSE(choose_checkpoint(run.path, "never"));
}

TEST(Checkpoint, ARunThatCannotBeReadIsNotOneWithoutCheckpoints) {
  const Scratch scratch;
  const fs::path run = scratch.path / std::string(300, 'x');  // a name that no call takes
  const std::string expected = "cannot read '" + run.string() + "': File name too long";
  EXPECT_EQ(message_of([&] { checkpoint_steps(run); }, Exit::io), expected);
  EXPECT_EQ(message_of([&] { choose_checkpoint(run, "auto"); }, Exit::io), expected);
  remove_old_checkpoints(run, 1);  // a warning: it is not the end of a run
}

TEST(Checkpoint, CleaningUpKeepsTheNewestTheBestAndTheLimit) {
  const Scratch run;
  for (int64_t step = 1; step <= 6; ++step) {
    save(run.path, step);
  }
  point_to(run.path, "best", run.path / "step-00000002");
  remove_old_checkpoints(run.path, 2);
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{2, 5, 6}));
  remove_old_checkpoints(run.path, 0);
  EXPECT_EQ(checkpoint_steps(run.path).size(), 3u) << "0 keeps all";
}

TEST(Checkpoint, CleaningUpKeepsWhatHoldsAnothersFile) {
  const Scratch run;
  for (int64_t step = 1; step <= 4; ++step) save(run.path, step);
  write_text(run.path / "step-00000002" / "notes.txt", "the one for the talk");
  remove_old_checkpoints(run.path, 1);
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{2, 4}));
  fs::remove(run.path / "step-00000002" / "notes.txt");
  remove_old_checkpoints(run.path, 1);
  EXPECT_EQ(checkpoint_steps(run.path), std::vector<int64_t>{4});
}

TEST(Checkpoint, TheNewestIsTakenWhereTheLinkWasNotMovedToIt) {
  const Scratch run;
  for (const int64_t step : {6, 8}) save(run.path, step);
  point_to(run.path, "latest", checkpoint_name(6));
  EXPECT_EQ(choose_checkpoint(run.path, run.path)->checkpoint, run.path / "step-00000008");
  abandon_later_checkpoints(run.path, run.path / "step-00000006", {});
  EXPECT_EQ(choose_checkpoint(run.path, run.path)->checkpoint, run.path / "step-00000006");
  fs::create_directory(run.path / "step-00000009");  // no manifest: not whole
  EXPECT_EQ(latest_checkpoint(run.path), run.path / "step-00000006");
}

TEST(Checkpoint, OneOfItsOwnThatIsGoneIsNamedWithTheNewest) {
  const Scratch run, other;
  save(run.path, 8);
  const auto hint_at = [&](const fs::path& named) -> std::string {
    try {
      choose_checkpoint(run.path, named);
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "checkpoint '" + named.string() + "' does not exist");
      return error.hint();
    }
    return "no error";
  };
  EXPECT_EQ(hint_at(run.path / "step-00000006"),
            "--resume-from-checkpoint auto goes on from step-00000008");
  EXPECT_EQ(hint_at(other.path / "step-00000006"), "");
}

TEST(Checkpoint, GoingBackAbandonsWhatWasSavedLater) {
  using Names = std::vector<std::string>;
  const Scratch run;
  for (const int64_t step : {1, 2, 3, 4}) save(run.path, step);
  point_to(run.path, "best", run.path / "step-00000004");
  EXPECT_EQ(abandon_later_checkpoints(run.path, run.path / "step-00000004", 4), Names{});
  EXPECT_EQ(abandon_later_checkpoints(run.path, run.path / "step-00000002", 1),
            (Names{"step-00000003.abandoned", "step-00000004.abandoned"}));
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(fs::read_symlink(run.path / "latest"), "step-00000002");
  EXPECT_EQ(fs::read_symlink(run.path / "best"), "step-00000001");
  EXPECT_EQ(choose_checkpoint(run.path, "auto")->checkpoint, run.path / "step-00000002");
  verify_checkpoint(run.path / "step-00000004.abandoned");
  save(run.path, 3);
  EXPECT_EQ(abandon_later_checkpoints(run.path, run.path / "step-00000002", {}),
            Names{"step-00000003.abandoned-2"});
}

TEST(Checkpoint, AnothersCheckpointAbandonsItsOwnStepToo) {
  using Names = std::vector<std::string>;
  const Scratch run, other;
  save(other.path, 2);
  for (const int64_t step : {1, 2, 3}) save(run.path, step);
  point_to(run.path, "best", run.path / "step-00000002");
  EXPECT_EQ(abandon_later_checkpoints(run.path, other.path / "step-00000002", 1),
            (Names{"step-00000002.abandoned", "step-00000003.abandoned"}));
  EXPECT_EQ(fs::read_symlink(run.path / "latest"), "step-00000001");
  EXPECT_FALSE(fs::exists(fs::symlink_status(run.path / "best")));
  EXPECT_EQ(checkpoint_steps(other.path), std::vector<int64_t>{2});
  save(other.path, 1);
  EXPECT_EQ(abandon_later_checkpoints(run.path, other.path / "step-00000001", {}),
            Names{"step-00000001.abandoned"});
  EXPECT_FALSE(fs::exists(fs::symlink_status(run.path / "latest")));
}

TEST(Checkpoint, CleaningUpNeverRemovesTheOnlyWholeOne) {
  const Scratch run;
  for (int64_t step = 1; step <= 4; ++step) {
    save(run.path, step);
  }
  for (const char* name : {"step-00000003", "step-00000004"}) {
    write_text(run.path / name / "model.safetensors", std::string(3000, '!'));
  }
  remove_old_checkpoints(run.path, 2);
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{2, 3, 4}));
  verify_checkpoint(run.path / "step-00000002");
}

/// How many numbered file operations a save takes.
int operations_of_a_mere_save(const fs::path& run) {
  const FaultPlan plan;
  save(run, 2);
  return plan.operations();
}

/// How many numbered file operations a save and clean-up take.
int operations_of_a_save(const fs::path& run) {
  const FaultPlan plan;
  save(run, 2);
  remove_old_checkpoints(run, 1);
  return plan.operations();
}

void expect_old_or_new(const fs::path& run) {
  const auto choice = choose_checkpoint(run, "auto");
  ASSERT_TRUE(choice);
  const std::string name = choice->checkpoint.filename();
  EXPECT_TRUE(name == "step-00000001" || name == "step-00000002") << name;
  const char first = read_file(choice->checkpoint / "model.safetensors")[0];
  EXPECT_EQ(first, name == "step-00000001" ? 'b' : 'c') << "neither old nor new";
}

// Reliability T2.
TEST(Checkpoint, AnyFailedOperationIsAnIoErrorThatNamesItAndLeavesAGoodCheckpoint) {
  int total = 0;
  {
    const Scratch run;
    save(run.path, 1);
    total = operations_of_a_mere_save(run.path);
  }
  ASSERT_GT(total, 15);
  for (const int error_number : {ENOSPC, EIO}) {
    for (int n = 1; n <= total; ++n) {
      const Scratch run;
      save(run.path, 1);
      {
        FaultPlan plan;
        plan.fail_operation(n, error_number);
        const std::string message = message_of([&] { save(run.path, 2); }, Exit::io);
        EXPECT_NE(message.find(std::generic_category().message(error_number)), std::string::npos)
            << n << ": " << message;
        EXPECT_NE(message.find(run.path.string()), std::string::npos) << n << ": " << message;
      }
      expect_old_or_new(run.path);
      for (const auto& entry : fs::directory_iterator(run.path)) {
        EXPECT_EQ(entry.path().filename().string().find(".step-00000002.tmp"), std::string::npos)
            << "operation " << n;
      }
    }
  }
}

TEST(Checkpoint, AnOldOneThatCannotBeRemovedIsNotTheEndOfARun) {
  int before = 0, total = 0;
  {
    const Scratch one, other;
    save(one.path, 1);
    before = operations_of_a_mere_save(one.path);
    save(other.path, 1);
    total = operations_of_a_save(other.path);
  }
  ASSERT_GE(total - before, 4);
  for (int n = before + 1; n <= total; ++n) {
    const Scratch run;
    save(run.path, 1);
    FaultPlan plan;
    plan.fail_operation(n, EPERM);
    save(run.path, 2);
    remove_old_checkpoints(run.path, 1);
    EXPECT_EQ(choose_checkpoint(run.path, "auto")->checkpoint, run.path / "step-00000002");
    save(run.path, 3);  // the run goes on
    remove_old_checkpoints(run.path, 1);
    EXPECT_EQ(checkpoint_steps(run.path), std::vector<int64_t>{3}) << n;
  }
}

// Reliability T3 and T6: power loss at every operation of save and clean-up.
TEST(Checkpoint, PowerLossAtAnyOperationLeavesTheOldOrTheNewNeverAThird) {
  int total = 0;
  {
    const Scratch run;
    save(run.path, 1);
    total = operations_of_a_save(run.path);
  }
  for (const Loss loss : {Loss::data_and_names, Loss::data_only, Loss::names_only}) {
    for (int n = 1; n <= total; ++n) {
      const Scratch run;
      save(run.path, 1);
      FaultPlan plan;
      plan.crash_at(n);
      try {
        save(run.path, 2);
        remove_old_checkpoints(run.path, 1);
        ADD_FAILURE() << "no crash at " << n;
      } catch (const SimulatedCrash&) {
      }
      plan.lose_unsynced(loss);
      expect_old_or_new(run.path);
      save(run.path, 3);  // the run goes on
      verify_checkpoint(run.path / "step-00000003");
    }
  }
}

TEST(Checkpoint, ADiskThatIsTooSmallIsSaidBeforeAnythingIsWritten) {
  const Scratch run;
  save(run.path, 400);
  const std::string message = message_of(
      [&] { save_checkpoint(run.path, 500, parts_of(500), int64_t{1} << 60); }, Exit::io);
  EXPECT_TRUE(message.starts_with("need 1152921504607 MB, ")) << message;
  EXPECT_TRUE(message.ends_with("; step-00000400 is intact")) << message;
  EXPECT_EQ(checkpoint_steps(run.path), (std::vector<int64_t>{400}));
}

}  // namespace
}  // namespace llm
