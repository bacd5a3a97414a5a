// Names of repositories, files and blobs; the cache on this machine; choices of files; hashes.
#include "hub/hub_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "hub/blob_hash.h"
#include "hub/file_choice.h"
#include "hub/http_client.h"
#include "hub/hub_requests.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(HubCache, NamesOfRepositories) {
  for (const char* name : {"gpt2", "Qwen/Qwen3-0.6B", "org/name.v1_x", "a/b"}) {
    const auto repo = parse_hub_repo(name);
    ASSERT_TRUE(repo) << name;
    EXPECT_EQ(repo->id, name);
    EXPECT_EQ(repo->revision, "main");
  }
  const auto repo = parse_hub_repo("org/name@refs/pr/7");
  ASSERT_TRUE(repo);
  EXPECT_EQ(repo->id, "org/name");
  EXPECT_EQ(repo->revision, "refs/pr/7");
  for (const char* name : {"", "/", "a/", "/a", "a/b/c", "../a", "a/..", ".a/b", "a/b-", "a--b/c",
                           "a b/c", "a/b@", "a/b@../x", "a/b@x y", "a/b@/x", "a/b?x", "a/b#x"}) {
    EXPECT_FALSE(parse_hub_repo(name)) << name;
  }
  EXPECT_TRUE(parse_hub_repo("a/" + std::string(96, 'b')));
  EXPECT_FALSE(parse_hub_repo("a/" + std::string(97, 'b')));
}

TEST(HubCache, FolderComesFromTheEnvironment) {
  for (const char* name : {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) ::unsetenv(name);
  const std::string home = ::getenv("HOME") ? ::getenv("HOME") : "";
  ::setenv("HOME", "/h", 1);
  EXPECT_EQ(hub_cache_folder(), "/h/.cache/huggingface/hub");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(hub_cache_folder(), "/x/huggingface/hub");
  ::setenv("HF_HOME", "/f", 1);
  EXPECT_EQ(hub_cache_folder(), "/f/hub");
  ::setenv("HF_HUB_CACHE", "/c", 1);
  EXPECT_EQ(hub_cache_folder(), "/c");
  for (const char* name : {"HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) ::unsetenv(name);
  ::setenv("HOME", home.c_str(), 1);
}

TEST(HubCache, FindsSnapshotsByBranchTagAndCommit) {
  TemporaryFolder folder;
  const fs::path repo = folder / "models--org--name";
  const std::string commit(40, 'a');
  fs::create_directories(repo / "snapshots" / commit);
  fs::create_directories(repo / "refs/pr");
  std::ofstream(repo / "refs/main") << commit;
  std::ofstream(repo / "refs/pr/1") << commit << "\n";
  std::ofstream(repo / "refs/evil") << "../../../etc";
  std::ofstream(repo / "refs/gone") << std::string(40, 'b');
  for (const std::string& revision : {std::string("main"), std::string("pr/1"), commit}) {
    EXPECT_EQ(find_hub_snapshot(folder.path(), {"org/name", revision}),
              std::optional(repo / "snapshots" / commit))
        << revision;
  }
  for (const char* revision : {"evil", "gone", "other"}) {
    EXPECT_FALSE(find_hub_snapshot(folder.path(), {"org/name", revision})) << revision;
  }
  EXPECT_FALSE(find_hub_snapshot(folder.path(), {"org/other", "main"}));
}

TEST(HubCache, SafeNames) {
  for (const char* name :
       {"a", "a/b.txt", "..a", "a..b", "model-00001-of-00002.safetensors", "ä"}) {
    EXPECT_TRUE(is_safe_file_name(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("."), std::string("../a"), std::string("a/"),
        std::string("a\0b", 3), std::string(256, 'x')}) {
    EXPECT_FALSE(is_safe_file_name(name)) << name;
  }
  EXPECT_EQ(plain_tag("W/\"abc\""), "abc");
  EXPECT_EQ(plain_tag("\"abc\""), "abc");
  EXPECT_EQ(plain_tag("abc"), "abc");
}

TEST(HubCache, ModelIsDescriptionAndWeightsInOneForm) {
  const Names all = {"README.md",
                     "config.json",
                     "flax_model.msgpack",
                     "model-00001-of-00002.safetensors",
                     "model-00002-of-00002.safetensors",
                     "model.safetensors.index.json",
                     "onnx/model.onnx",
                     "pytorch_model.bin",
                     "tokenizer.json",
                     "training_args.bin",
                     "original/model.safetensors"};
  EXPECT_EQ(
      choose_model_files(all, {}, {}),
      (Names{"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
             "model.safetensors.index.json", "tokenizer.json"}));
  EXPECT_EQ(choose_model_files({"config.json", "pytorch_model.bin", "training_args.bin"}, {}, {}),
            (Names{"config.json", "pytorch_model.bin"}));
  EXPECT_EQ(choose_model_files({"a.gguf", "b.gguf", "README.md"}, {}, {"b*"}), Names{"a.gguf"});
  EXPECT_EQ(choose_model_files(all, {"*.md", "original/*"}, {}),
            (Names{"README.md", "original/model.safetensors"}));
}

TEST(HubCache, HashesAreThoseOfGitAndSha256) {
  const auto hash = [](size_t digits, const std::string& text) {
    BlobHash blob(std::string(digits, '0'), text.size());
    blob.update(text.substr(0, 2));
    blob.update(text.substr(2));
    return blob.finish();
  };
  EXPECT_EQ(hash(40, "hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");  // git hash-object
  EXPECT_EQ(hash(64, "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_FALSE(BlobHash("v-1", 3).is_known());
  EXPECT_FALSE(BlobHash(std::string(40, 'G'), 3).is_known());
}

TEST(HubCache, OriginsOfAddresses) {
  EXPECT_EQ(url_origin("https://Hub.Example/x"), "https://hub.example:443");
  EXPECT_EQ(url_origin("http://a:80/x"), url_origin("http://a/y"));
  EXPECT_NE(url_origin("http://a"), url_origin("https://a"));
  EXPECT_EQ(url_origin("https://hub.example@evil.example/"), "https://evil.example:443");
  EXPECT_EQ(url_origin("file:///etc/passwd"), "");
  EXPECT_EQ(url_origin("nonsense"), "");
  EXPECT_TRUE(is_loopback_url("http://127.0.0.1:1/x"));
  EXPECT_FALSE(is_loopback_url("http://127.0.0.1.evil.example/"));
  EXPECT_EQ(url_escape("a b/ä", true), "a%20b/%C3%A4");
  EXPECT_EQ(url_escape("a/b", false), "a%2Fb");
}

}  // namespace
}  // namespace llm
