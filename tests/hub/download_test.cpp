// Downloads that go well: what is asked, what lies in the cache, what is not loaded twice.
#include "hub/download.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/hub/hub_test_support.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(Download, LaysTheCacheOutAsHuggingFaceDoes) {
  HubFixture f;
  f.hub.small["additional_chat_templates/tools.jinja"] = "{{ x }}\n";
  const Download download = f.run();
  const std::string at = "models--org--name/";
  const std::string config = blob_id("{}\n", false), tools = blob_id("{{ x }}\n", false);
  const std::string snapshot = at + "snapshots/" + f.hub.commit;
  EXPECT_EQ(f.tree(),
            (std::set<std::string>{
                ".locks/models--org--name/" + config + ".lock",
                ".locks/models--org--name/" + tools + ".lock",
                ".locks/models--org--name/" + f.weights_id() + ".lock",
                at + "blobs/" + config,
                at + "blobs/" + tools,
                at + "blobs/" + f.weights_id(),
                at + "refs/main",
                snapshot + "/config.json -> ../../blobs/" + config,
                snapshot + "/model.safetensors -> ../../blobs/" + f.weights_id(),
                snapshot + "/additional_chat_templates/tools.jinja -> ../../../blobs/" + tools,
            }));
  EXPECT_EQ(HubFixture::content(f.repo_folder() / "refs/main"), f.hub.commit);
  EXPECT_EQ(download.snapshot, f.request.cache / snapshot);
  EXPECT_EQ(download.commit, f.hub.commit);
  EXPECT_EQ(download.files,
            (Names{"additional_chat_templates/tools.jinja", "config.json", "model.safetensors"}));
  EXPECT_EQ(download.bytes, 300'000u + 3 + 8);
  EXPECT_EQ(download.bytes_fetched, download.bytes);
  EXPECT_EQ(HubFixture::content(download.snapshot / "model.safetensors"),
            f.hub.large["model.safetensors"]);
  EXPECT_EQ(HubFixture::content(download.snapshot / "config.json"), "{}\n");
}

TEST(Download, TokenGoesToTheHubAndNotToTheStorage) {
  HubFixture f;
  f.run();
  const auto seen = f.hub.seen();
  ASSERT_EQ(seen.size(), 6u);  // the listing, HEAD and GET of two files, GET from the storage
  for (const LoopbackHub::Seen& one : seen) {
    EXPECT_EQ(one.authorization, one.place == "hub" ? "Bearer hf_secret" : "") << one.target;
    EXPECT_EQ(one.range, "") << one.target;
  }
  EXPECT_EQ(f.hub.seen("storage").size(), 1u);
}

TEST(Download, TokenStaysWhereTheSameMachineHasAnotherName) {
  HubFixture f;
  f.hub.change_hub = [&](const LoopbackRequest&, LoopbackReply& reply) {
    if (reply.status != 302) return;
    std::string& location = reply.headers["Location"];
    location.replace(location.find("127.0.0.1"), 9, "localhost");
  };
  f.run();
  ASSERT_EQ(f.hub.seen("storage").size(), 1u);
  EXPECT_EQ(f.hub.seen("storage")[0].authorization, "");
  EXPECT_TRUE(f.has_weights());
}

TEST(Download, TokenGoesAlongWhereTheHubSendsUsOnToItself) {
  HubFixture f;
  f.hub.change_hub = [&](const LoopbackRequest& request, LoopbackReply& reply) {
    if (request.target.starts_with("/old/")) {
      reply = {.status = 307, .headers = {{"Location", "/org/" + request.target.substr(5)}}};
    }
    if (request.target.starts_with("/api/models/old/")) {
      reply = {.status = 307, .headers = {{"Location", "/api/models/org/name/revision/main"}}};
    }
  };
  f.request.repo.id = "old/name";
  f.run();
  for (const LoopbackHub::Seen& one : f.hub.seen()) {
    EXPECT_EQ(one.authorization, one.place == "hub" ? "Bearer hf_secret" : "") << one.target;
  }
  EXPECT_TRUE(fs::exists(f.request.cache / "models--old--name" / "refs/main"));
}

TEST(Download, NoTokenNoHeader) {
  HubFixture f;
  f.connection.token = "";
  f.run();
  for (const LoopbackHub::Seen& one : f.hub.seen()) EXPECT_EQ(one.authorization, "");
}

TEST(Download, LoadsNothingTwice) {
  HubFixture f;
  f.run();
  f.hub.forget();
  const Download again = f.run();
  EXPECT_EQ(again.bytes_fetched, 0u);
  EXPECT_EQ(again.bytes, 300'003u);
  for (const LoopbackHub::Seen& one : f.hub.seen()) {
    EXPECT_TRUE(one.method == "HEAD" || one.target.starts_with("/api/")) << one.target;
  }
}

TEST(Download, NewCommitSharesTheBlobsThatStayedTheSame) {
  HubFixture f;
  const std::string first = f.run().commit;
  f.hub.commit = std::string(39, 'd') + "2";
  f.hub.small["config.json"] = "{\"a\": 1}\n";
  const Download second = f.run();
  EXPECT_EQ(second.bytes_fetched, 9u);
  EXPECT_EQ(HubFixture::content(f.repo_folder() / "refs/main"), f.hub.commit);
  EXPECT_EQ(HubFixture::content(f.repo_folder() / "snapshots" / first / "config.json"), "{}\n");
  EXPECT_EQ(HubFixture::content(second.snapshot / "config.json"), "{\"a\": 1}\n");
}

TEST(Download, CommitAsRevisionNeedsNoReference) {
  HubFixture f;
  f.request.repo.revision = f.hub.commit;
  f.run();
  EXPECT_FALSE(fs::exists(f.repo_folder() / "refs" / f.hub.commit));
  EXPECT_TRUE(find_hub_snapshot(f.request.cache, f.request.repo));
}

TEST(Download, PatternsChoose) {
  HubFixture f;
  f.hub.small["onnx/readme.txt"] = "x";
  f.hub.large["model.gguf"] = "GGUF";
  f.request.include = {"*.gguf", "onnx/*"};
  EXPECT_EQ(f.run().files, (Names{"model.gguf", "onnx/readme.txt"}));
  f.request.exclude = {"*.txt"};
  EXPECT_EQ(f.run().files, Names{"model.gguf"});
  f.request.include = {"*.pdf"};
  expect_error([&] { f.run(); }, Exit::bad_input,
               "'org/name' has no file to load (4 files are there)", "choose with --include");
}

TEST(Download, EmptyFileIsAFile) {
  HubFixture f;
  f.hub.small["merges.txt"] = "";
  EXPECT_EQ(HubFixture::content(f.run().snapshot / "merges.txt"), "");
  EXPECT_TRUE(fs::exists(f.repo_folder() / "blobs/e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"));
}

TEST(Download, TwoAtOnceLoadEachFileOnce) {
  HubFixture f;
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply& reply) {
    reply.bytes_per_second = 1'000'000;
  };
  Download first, second;
  std::thread other([&] { first = f.run(); });
  second = f.run();
  other.join();
  EXPECT_EQ(f.hub.seen("storage").size(), 1u);
  EXPECT_EQ(first.bytes_fetched + second.bytes_fetched, 300'003u);
  EXPECT_EQ(first.snapshot, second.snapshot);
  EXPECT_TRUE(f.has_weights());
}

TEST(Download, OfflineOpensNoSocketAndFindsWhatIsThere) {
  HubFixture f;
  f.connection.offline = true;
  expect_error([&] { f.run(); }, Exit::bad_input,
               "'org/name' is not in the cache '" + f.request.cache.string() +
                   "', and HF_HUB_OFFLINE forbids to ask for it");
  f.connection.offline = false;
  const Download online = f.run();
  f.hub.forget();
  f.connection.offline = true;
  const Download offline = f.run();
  EXPECT_EQ(offline.snapshot, online.snapshot);
  EXPECT_EQ(offline.files, online.files);
  EXPECT_EQ(offline.bytes, online.bytes);
  EXPECT_EQ(offline.bytes_fetched, 0u);
  EXPECT_TRUE(f.hub.seen().empty());
}

TEST(Download, ProgressTellsFileBytesAndSize) {
  HubFixture f;
  std::map<std::string, uint64_t> last;
  f.request.progress = [&](const std::string& file, uint64_t done, uint64_t size) {
    EXPECT_GT(done, last[file]);
    EXPECT_EQ(size, file == "config.json" ? 3u : 300'000u);
    last[file] = done;
  };
  f.run();
  EXPECT_EQ(last,
            (std::map<std::string, uint64_t>{{"config.json", 3}, {"model.safetensors", 300'000}}));
}

TEST(Download, ConnectionComesFromTheEnvironment) {
  TemporaryFolder home;
  home.write("token", "  hf_file \n");
  for (const char* name : {"HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"}) ::unsetenv(name);
  ::setenv("HF_HOME", home.path().c_str(), 1);
  HubConnection connection = HubConnection::from_environment();
  EXPECT_EQ(connection.endpoint, "https://huggingface.co");
  EXPECT_EQ(connection.token, "hf_file");
  EXPECT_FALSE(connection.offline);
  ::setenv("HF_ENDPOINT", "https://mirror.example/hf/", 1);
  ::setenv("HF_TOKEN", "hf_given", 1);
  ::setenv("HF_HUB_OFFLINE", "ON", 1);
  connection = HubConnection::from_environment();
  EXPECT_EQ(connection.endpoint, "https://mirror.example/hf");
  EXPECT_EQ(connection.token, "hf_given");
  EXPECT_TRUE(connection.offline);
  ::setenv("HF_TOKEN", "a\nX-Evil: 1", 1);
  expect_error([] { HubConnection::from_environment(); }, Exit::usage,
               "HF_TOKEN: a token has no spaces and no control characters");
  ::setenv("HF_ENDPOINT", "ftp://x", 1);
  expect_error([] { HubConnection::from_environment(); }, Exit::usage,
               "HF_ENDPOINT: 'ftp://x' is not an http or https address");
  for (const char* name : {"HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HOME"}) {
    ::unsetenv(name);
  }
}

}  // namespace
}  // namespace llm
