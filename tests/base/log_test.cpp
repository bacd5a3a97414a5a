#include "base/log.h"

#include <gtest/gtest.h>

#include <array>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

class Log : public testing::Test {
 protected:
  ~Log() override {
    detach_log_file();
    configure_log({});
  }
  std::string stderr_of(const std::function<void()>& action) {
    testing::internal::CaptureStderr();
    action();
    return testing::internal::GetCapturedStderr();
  }
  std::vector<std::string> lines(std::string_view name) {
    std::vector<std::string> out;
    std::istringstream text(folder_.read(name));
    for (std::string line; std::getline(text, line);) {
      out.push_back(line);
    }
    return out;
  }
  TemporaryFolder folder_;
};

TEST_F(Log, TextOnStderrNamesTheLevelUnlessInfo) {
  EXPECT_EQ(stderr_of([] {
              log_info("step {}", 1);
              log_warn("low");
              log_error("bad");
              log_debug("unseen {}", 1);
            }),
            "step 1\nwarning: low\nerror: bad\n");
}

TEST_F(Log, AFailureIsToldAtEveryLevelAndInTheFile) {
  configure_log({"error", "text", true});
  attach_log_file(folder_ / "run.log");
  EXPECT_EQ(stderr_of([] {
              log_failure("no such file", "");
              log_failure("no memory", "a smaller batch");
            }),
            "llm: error: no such file\nllm: error: no memory\nhint: a smaller batch\n");
  const std::vector<std::string> written = lines("run.log");
  ASSERT_EQ(written.size(), 3u);
  EXPECT_TRUE(written[0].ends_with("Z ERROR no such file")) << written[0];
  EXPECT_TRUE(written[1].ends_with("Z ERROR no memory")) << written[1];
  EXPECT_EQ(written[2], "    hint: a smaller batch");
}

TEST_F(Log, AFailureIsOneJsonLineWhereTheLogIsJson) {
  configure_log({"info", "json", false});
  const auto json = nlohmann::json::parse(stderr_of([] { log_failure("no memory", "buy some"); }));
  EXPECT_EQ(json["level"], "error");
  EXPECT_EQ(json["message"], "no memory");
  EXPECT_EQ(json["hint"], "buy some");
  EXPECT_FALSE(nlohmann::json::parse(stderr_of([] { log_failure("no", ""); })).contains("hint"));
}

TEST_F(Log, LevelsFilter) {
  const auto all = [] {
    log_debug("d");
    log_info("i");
    log_warn("w");
    log_error("e");
  };
  const std::vector<std::pair<const char*, const char*>> expected{
      {"debug", "debug: d\ni\nwarning: w\nerror: e\n"},
      {"info", "i\nwarning: w\nerror: e\n"},
      {"warn", "warning: w\nerror: e\n"},
      {"error", "error: e\n"}};
  for (const auto& [level, text] : expected) {
    configure_log({level, "text", false});
    EXPECT_EQ(stderr_of(all), text) << level;
  }
  configure_log({"info", "text", true});
  EXPECT_EQ(stderr_of(all), "warning: w\nerror: e\n") << "quiet";
}

TEST_F(Log, JsonLinesHoldTheFields) {
  configure_log({"info", "json", false});
  const std::array<LogField, 4> fields{LogField{"step", int64_t{7}}, LogField{"loss", 2.5},
                                       LogField{"grad_norm", std::nan("")},
                                       LogField{"note", "\xFF\n"}};
  const std::string line =
      stderr_of([&] { log_record(LogLevel::info, "step 7 | \"loss\" 2.5", fields); });
  const auto value = nlohmann::json::parse(line);
  EXPECT_EQ(value["level"], "info");
  EXPECT_EQ(value["message"], "step 7 | \"loss\" 2.5");
  EXPECT_EQ(value["step"], 7);
  EXPECT_EQ(value["loss"], 2.5);
  EXPECT_TRUE(value["grad_norm"].is_null()) << "JSON has no NaN";
  EXPECT_EQ(value["note"], "\xEF\xBF\xBD\n");
  EXPECT_EQ(value["time"].get<std::string>().size(), 24u);
  EXPECT_EQ(line.back(), '\n');
}

TEST_F(Log, TheFileGetsTimeAndLevel) {
  attach_log_file(folder_ / "training.log");
  configure_log({"error", "text", false});
  stderr_of([] {
    log_info("one\ntwo");
    log_warn("three");
    log_debug("unseen");
  });
  const auto text = lines("training.log");
  ASSERT_EQ(text.size(), 3u);
  EXPECT_EQ(text[0].substr(23), "Z INFO one");
  EXPECT_EQ(text[1], "    two");
  EXPECT_EQ(text[2].substr(23), "Z WARNING three")
      << "the file keeps info and above whatever stderr shows";
}

TEST_F(Log, TheFileRotatesBySize) {
  configure_log({"error", "json", false});
  attach_log_file(folder_ / "log", 1000, 2);
  for (int i = 0; i < 40; ++i) {
    log_info("line {:03}", i);
  }
  detach_log_file();
  int last = 39;
  for (const char* name : {"log", "log.1", "log.2"}) {
    const auto text = lines(name);
    EXPECT_LE(folder_.read(name).size(), 1000u) << name;
    ASSERT_FALSE(text.empty()) << name;
    for (auto line = text.rbegin(); line != text.rend(); ++line) {
      EXPECT_EQ(nlohmann::json::parse(*line)["message"], fmt::format("line {:03}", last--)) << name;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "log.3"));
}

TEST_F(Log, AnOldFileIsContinued) {
  for (int i = 0; i < 2; ++i) {
    attach_log_file(folder_ / "log");
    stderr_of([] { log_info("again"); });
    detach_log_file();
  }
  EXPECT_EQ(lines("log").size(), 2u);
}

TEST_F(Log, LinesOfThreadsNeverMix) {
  configure_log({"error", "text", false});
  attach_log_file(folder_ / "log", 1 << 16, 20);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) {
        log_info("{}", std::string(50, static_cast<char>('a' + t)));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  detach_log_file();
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    for (const std::string& line : lines(entry.path().filename().string())) {
      ++count;
      ASSERT_EQ(line.size(), 24 + 6 + 50u);
      ASSERT_EQ(line.find_first_not_of(line.back(), 30), std::string::npos);
    }
  }
  EXPECT_EQ(count, 2000u);
}

TEST_F(Log, AFileThatCannotBeOpenedIsAnError) {
  expect_error_with([&] { attach_log_file(folder_ / "no/log"); }, Exit::io,
                    "No such file or directory");
}

TEST_F(Log, ALogOnAFullDiskIsReportedOnceAndDoesNotEndTheRun) {
  attach_log_file("/dev/full");
  const std::string text = stderr_of([] {
    log_info("one");
    log_info("two");
  });
  EXPECT_EQ(text,
            "one\nwarning: the log file '/dev/full' is closed: cannot write '/dev/full': No space "
            "left on device" +
                text.substr(text.find(" ("), text.find(")") - text.find(" (") + 1) + "\ntwo\n");
}

}  // namespace
}  // namespace llm
