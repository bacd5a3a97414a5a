// Transfers that break off, lie or change: what is asked next, and what is kept.
#include <gtest/gtest.h>

#include <chrono>

#include "tests/hub/hub_test_support.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// The storage's answers number 1, 2, ... are changed by one function each; later ones are honest.
LoopbackHub::Change in_turn(std::vector<std::function<void(LoopbackReply&)>> changes) {
  return [changes, turn = size_t{0}](const LoopbackRequest&, LoopbackReply& reply) mutable {
    if (turn < changes.size()) changes[turn](reply);
    ++turn;
  };
}

std::function<void(LoopbackReply&)> cut(size_t bytes) {
  return [bytes](LoopbackReply& reply) { reply.cut_after = bytes; };
}

TEST(Transfer, GoesOnWhereTheConnectionBroke) {
  HubFixture f;
  f.hub.change_storage = in_turn({cut(100'000), cut(50'000)});
  const Download download = f.run();
  const auto seen = f.hub.seen("storage");
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].range, "");
  EXPECT_EQ(seen[1].range, "bytes=100000-");
  EXPECT_EQ(seen[2].range, "bytes=150000-");
  EXPECT_EQ(seen[0].bytes + seen[1].bytes + seen[2].bytes, 300'000u);
  EXPECT_EQ(download.bytes_fetched, 300'003u);
  EXPECT_TRUE(f.has_weights());
  EXPECT_FALSE(fs::exists(f.unfinished()));
}

TEST(Transfer, KeepsWhatCameAndGoesOnInTheNextRun) {
  HubFixture f;
  f.connection.attempts = 1;
  f.hub.change_storage = in_turn({cut(120'000)});
  expect_error_with([&] { f.run(); }, Exit::io, "cannot load file 'model.safetensors' from");
  EXPECT_EQ(fs::file_size(f.unfinished()), 120'000u);
  EXPECT_FALSE(fs::exists(f.repo_folder() / "refs/main"));  // nothing to find half a model by
  f.hub.forget();
  EXPECT_EQ(f.run().bytes_fetched, 180'000u);
  ASSERT_EQ(f.hub.seen("storage").size(), 1u);
  EXPECT_EQ(f.hub.seen("storage")[0].range, "bytes=120000-");
  EXPECT_TRUE(f.has_weights());
}

TEST(Transfer, ServerWithoutRangesStartsOver) {
  HubFixture f;
  f.hub.ranges = false;
  f.hub.change_storage = in_turn({cut(100'000)});
  EXPECT_EQ(f.run().bytes_fetched, 400'003u);
  EXPECT_EQ(f.hub.seen("storage").at(1).range, "bytes=100000-");
  EXPECT_EQ(f.hub.seen("storage").at(1).bytes, 300'000u);
  EXPECT_TRUE(f.has_weights());
}

TEST(Transfer, DamagedRestOfAnEarlierRunIsLoadedAgain) {
  HubFixture f;
  fs::create_directories(f.unfinished().parent_path());
  std::ofstream(f.unfinished()) << std::string(1000, 'x');
  f.run();
  ASSERT_EQ(f.hub.seen("storage").size(), 2u);
  EXPECT_EQ(f.hub.seen("storage")[0].range, "bytes=1000-");
  EXPECT_EQ(f.hub.seen("storage")[1].range, "");
  EXPECT_TRUE(f.has_weights());
}

TEST(Transfer, RestThatIsTooLongIsThrownAway) {
  HubFixture f;
  fs::create_directories(f.unfinished().parent_path());
  std::ofstream(f.unfinished()) << std::string(300'001, 'x');
  f.run();
  EXPECT_EQ(f.hub.seen("storage").at(0).range, "");
  EXPECT_TRUE(f.has_weights());
}

TEST(Transfer, WrongHashIsLoadedOnceMoreThenRefused) {
  HubFixture f;
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply& reply) { reply.body[7] ^= 1; };
  std::string damaged = f.hub.large["model.safetensors"];
  damaged[7] ^= 1;
  expect_error([&] { f.run(); }, Exit::io,
               "'model.safetensors' is damaged: its sha256 is " + blob_id(damaged, true) +
                   ", the server announced " + f.weights_id(),
               "the incomplete file was removed; run the command again");
  EXPECT_EQ(f.hub.seen("storage").size(), 2u);
  EXPECT_FALSE(fs::exists(f.unfinished()));
  EXPECT_FALSE(fs::exists(f.weights_blob()));
  EXPECT_FALSE(fs::exists(f.repo_folder() / "refs/main"));
}

TEST(Transfer, WrongGitHashIsRefusedToo) {
  HubFixture f;
  f.hub.change_hub = [](const LoopbackRequest& request, LoopbackReply& reply) {
    if (request.method == "GET" && request.target.ends_with("/config.json")) reply.body = "[]\n";
  };
  expect_error([&] { f.run(); }, Exit::io,
               "'config.json' is damaged: its git blob id is " + blob_id("[]\n", false) +
                   ", the server announced " + blob_id("{}\n", false),
               "the incomplete file was removed; run the command again");
}

TEST(Transfer, OneFlippedByteHealsBySecondLoad) {
  HubFixture f;
  f.hub.change_storage = in_turn({[](LoopbackReply& reply) { reply.body[299'999] ^= 1; }});
  EXPECT_EQ(f.run().bytes_fetched, 600'003u);
  EXPECT_TRUE(f.has_weights());
}

TEST(Transfer, MoreBytesThanAnnouncedAreRefused) {
  HubFixture f;
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply& reply) { reply.body += "more"; };
  expect_error([&] { f.run(); }, Exit::io,
               "'model.safetensors' is longer than the 300000 bytes that were announced");
  EXPECT_FALSE(fs::exists(f.unfinished()));
}

TEST(Transfer, FewerBytesThanAnnouncedAreRefused) {
  HubFixture f;
  f.connection.attempts = 2;
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply& reply) {
    if (reply.status == 200) reply.body.resize(1000);  // a whole answer of another size
  };
  f.hub.ranges = false;
  expect_error_with([&] { f.run(); }, Exit::io,
                    "'model.safetensors' ended at 1000 of 300000 bytes");
}

TEST(Transfer, AnotherPartThanAskedForIsNotTaken) {
  HubFixture f;
  const auto other_part = [](LoopbackReply& reply) {
    reply.headers["Content-Range"] = "bytes 5-299999/300000";
  };
  f.hub.change_storage = in_turn({cut(100'000), other_part});
  f.run();
  EXPECT_EQ(f.hub.seen("storage").at(2).range, "");  // starts over
  EXPECT_TRUE(f.has_weights());
}

TEST(Transfer, PartOfAFileOfAnotherSizeIsNotTaken) {
  HubFixture f;
  const auto other_size = [](LoopbackReply& reply) {
    reply.headers["Content-Range"] = "bytes 100000-299999/300001";
  };
  f.hub.change_storage = in_turn({cut(100'000), other_size, cut(100'000), other_size});
  expect_error([&] { f.run(); }, Exit::io,
               "'model.safetensors' has 300001 bytes there, 300000 were announced");
}

TEST(Transfer, FileThatChangesBetweenAttemptsIsAskedForAnew) {
  HubFixture f;
  int answers = 0;
  f.hub.change_hub = [&](const LoopbackRequest& request, LoopbackReply& reply) {
    if (request.method != "GET" || !request.target.ends_with("/config.json") || ++answers > 1) {
      return;
    }
    reply.cut_after = 1;                            // the old version breaks off,
    f.hub.small["config.json"] = "{\"new\": 1}\n";  // then another one is there
  };
  const Download download = f.run();
  EXPECT_EQ(HubFixture::content(download.snapshot / "config.json"), "{\"new\": 1}\n");
  EXPECT_EQ(fs::read_symlink(download.snapshot / "config.json").filename(),
            blob_id("{\"new\": 1}\n", false));
}

TEST(Transfer, LargeFileThatChangesBehindTheRedirectIsAskedForAnew) {
  HubFixture f;
  const std::string changed = pattern_bytes(200'000);
  f.hub.change_storage = in_turn({[&](LoopbackReply& reply) {
    reply.cut_after = 1000;
    f.hub.large["model.safetensors"] = changed;
  }});
  const Download download = f.run();
  EXPECT_EQ(HubFixture::content(download.snapshot / "model.safetensors"), changed);
}

TEST(Transfer, FileThatNeverStaysTheSameIsGivenUp) {
  HubFixture f;
  int answers = 0;
  f.hub.change_hub = [&](const LoopbackRequest& request, LoopbackReply& reply) {
    if (request.method == "GET" && request.target.ends_with("/config.json")) {
      reply.headers["ETag"] = "\"" + blob_id(std::to_string(++answers), false) + "\"";
    }
  };
  expect_error([&] { f.run(); }, Exit::io, "'config.json' changes on the server while it is read");
}

TEST(Transfer, StopKeepsWhatCame) {
  HubFixture f;
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply& reply) {
    reply.bytes_per_second = 200'000;
  };
  uint64_t done = 0;
  f.request.progress = [&](const std::string& file, uint64_t bytes, uint64_t) {
    if (file == "model.safetensors") done = bytes;
  };
  f.request.stop = [&] { return done >= 50'000; };
  const auto start = std::chrono::steady_clock::now();
  const Download download = f.run();
  EXPECT_TRUE(download.stopped);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
  EXPECT_GE(done, 50'000u);
  EXPECT_EQ(fs::file_size(f.unfinished()), done);
  EXPECT_FALSE(fs::exists(f.repo_folder() / "refs/main"));
  f.hub.forget();
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply&) {};
  f.request.stop = nullptr;
  EXPECT_FALSE(f.run().stopped);
  EXPECT_EQ(
      f.hub.seen("storage").at(0).range,
      "bytes=" +
          std::to_string(fs::file_size(f.weights_blob()) - f.hub.seen("storage").at(0).bytes) +
          "-");
  EXPECT_TRUE(f.has_weights());
}

TEST(Transfer, FullDiskIsSaidBeforeAByteIsLoaded) {
  HubFixture f;
  f.hub.change_hub = [](const LoopbackRequest& request, LoopbackReply& reply) {
    if (request.method == "HEAD" && reply.status == 302) {
      reply.headers["X-Linked-Size"] = "4000000000000000000";
    }
  };
  expect_error_with([&] { f.run(); }, Exit::io, "need ");
  EXPECT_TRUE(f.hub.seen("storage").empty());
}

TEST(Transfer, TagThatIsNoHashIsCheckedBySize) {
  HubFixture f;
  f.hub.change_hub = [](const LoopbackRequest& request, LoopbackReply& reply) {
    if (request.target.ends_with("/config.json")) reply.headers["ETag"] = "W/\"v-1.0_a\"";
  };
  f.run();
  EXPECT_EQ(HubFixture::content(f.repo_folder() / "blobs/v-1.0_a"), "{}\n");
}

}  // namespace
}  // namespace llm
