// What the hub refuses, what it must not say, and how often it is asked.
#include <gtest/gtest.h>

#include <chrono>

#include "hub/http_client.h"
#include "tests/hub/hub_test_support.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// Every answer of the hub to these requests is this status.
void answer_with(HubFixture& f, const std::string& part, int status, HeaderLines headers = {}) {
  f.hub.change_hub = [=](const LoopbackRequest& request, LoopbackReply& reply) {
    if (request.target.find(part) != std::string::npos) {
      reply = {.status = status, .headers = headers, .body = "{\"error\": \"no\"}"};
    }
  };
}

void expect_refusal(HubFixture& f, Exit code, const std::string& message, const std::string& hint,
                    size_t requests) {
  expect_error([&] { f.run(); }, code, message, hint);
  EXPECT_EQ(f.hub.seen().size(), requests) << message;
}

TEST(HubRefusals, UnauthorisedNamesTheToken) {
  HubFixture f;
  answer_with(f, "/api/", 401);
  const std::string message =
      "'org/name' does not exist, or needs a token (401 from " + f.hub.endpoint() + ")";
  expect_refusal(f, Exit::bad_input, message, "check the name and HF_TOKEN", 1);
  f.connection.token = "";
  expect_refusal(f, Exit::bad_input, message, "check the name; for a private model set HF_TOKEN",
                 2);
}

TEST(HubRefusals, GatedModelNamesThePageWithTheTerms) {
  HubFixture f;
  answer_with(f, "/resolve/", 403, {{"X-Error-Code", "GatedRepo"}});
  expect_refusal(f, Exit::bad_input,
                 "access to 'org/name' is not granted (403 from " + f.hub.endpoint() + ")",
                 "accept its terms at " + f.hub.endpoint() + "/org/name and set HF_TOKEN", 2);
}

TEST(HubRefusals, UnknownModelRevisionAndFile) {
  HubFixture f;
  f.request.repo.id = "org/other";
  expect_refusal(f, Exit::bad_input, "no model 'org/other' at " + f.hub.endpoint() + " (404)", "",
                 1);
  f.request.repo = {"org/name", "v9"};
  answer_with(f, "/revision/v9", 404, {{"X-Error-Code", "RevisionNotFound"}});
  expect_refusal(f, Exit::bad_input,
                 "'org/name' has no revision 'v9' (404 from " + f.hub.endpoint() + ")", "", 2);
  f.request.repo.revision = "main";
  answer_with(f, "/config.json", 404, {{"X-Error-Code", "EntryNotFound"}});
  f.hub.forget();
  expect_refusal(f, Exit::bad_input,
                 "no file 'config.json' of 'org/name' at " + f.hub.endpoint() + " (404)", "", 2);
}

TEST(HubRefusals, BusyServerIsAskedAgain) {
  for (const int status : {408, 429, 500, 502, 503, 504}) {
    SCOPED_TRACE(status);
    HubFixture f;
    int answers = 0;
    f.hub.change_hub = [&](const LoopbackRequest& request, LoopbackReply& reply) {
      if (request.target.starts_with("/api/") && ++answers <= 3) reply = {.status = status};
    };
    f.run();
    EXPECT_EQ(answers, 4);
    EXPECT_TRUE(f.has_weights());
  }
}

TEST(HubRefusals, ServerThatStaysBusyIsGivenUpAfterFiveAttempts) {
  HubFixture f;
  answer_with(f, "/api/", 503);
  expect_refusal(
      f, Exit::io,
      "cannot load model 'org/name' from " + f.hub.endpoint() + ": the server answers 503", "", 5);
  f.hub.forget();
  f.hub.change_hub = [](const LoopbackRequest&, LoopbackReply&) {};
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply& reply) {
    reply = {.status = 500};
  };
  expect_error(
      [&] { f.run(); }, Exit::io,
      "cannot load file 'model.safetensors' from " + f.hub.endpoint() + ": the server answers 500");
  EXPECT_EQ(f.hub.seen("storage").size(), 5u);
}

TEST(HubRefusals, RefusedStorageIsNotAskedAgain) {
  HubFixture f;
  f.hub.change_storage = [](const LoopbackRequest&, LoopbackReply& reply) {
    reply = {.status = 404};
  };
  expect_error([&] { f.run(); }, Exit::bad_input,
               "no file 'model.safetensors' at " + f.hub.endpoint() + " (404)");
  EXPECT_EQ(f.hub.seen("storage").size(), 1u);
}

TEST(HubRefusals, RetryAfterIsWaitedFor) {
  HubFixture f;
  int answers = 0;
  f.hub.change_hub = [&](const LoopbackRequest&, LoopbackReply& reply) {
    if (++answers == 1) reply = {.status = 429, .headers = {{"Retry-After", "1"}}};
  };
  const auto start = std::chrono::steady_clock::now();
  f.run();
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

TEST(HubRefusals, StopEndsTheWaitingForABusyServer) {
  HubFixture f;
  answer_with(f, "/api/", 503, {{"Retry-After", "20"}});
  const auto start = std::chrono::steady_clock::now();
  f.request.stop = [&] {
    return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(200);
  };
  EXPECT_TRUE(f.run().stopped);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

TEST(HubRefusals, ClosedConnectionIsAFailureOfTheNetwork) {
  HubFixture f;
  answer_with(f, "/api/", 0);
  expect_refusal(
      f, Exit::io,
      "cannot load model 'org/name' from " + f.hub.endpoint() + ": Empty reply from server", "", 5);
}

TEST(HubRefusals, UnsafeFileNamesEndEverything) {
  for (const char* name :
       {"../evil", "/etc/passwd", "a/../../b", "a//b", "a\\b", "..", "a/./b", "x\ny"}) {
    HubFixture f;
    f.hub.small[name] = "evil";
    expect_error([&] { f.run(); }, Exit::bad_input,
                 f.hub.endpoint() + "/api/models/org/name/revision/main: the file name '" + name +
                     "' is not allowed");
    EXPECT_TRUE(f.tree().empty()) << name;
  }
}

TEST(HubRefusals, UnsafeTagsAndCommitsEndEverything) {
  for (const std::string tag : {"../../evil", "a/b", ".hidden", "x.incomplete", "a b"}) {
    HubFixture f;
    f.hub.change_hub = [&](const LoopbackRequest& request, LoopbackReply& reply) {
      if (request.method == "HEAD") reply.headers["ETag"] = "\"" + tag + "\"";
    };
    expect_error([&] { f.run(); }, Exit::bad_input,
                 "the entity tag '" + tag + "' of 'config.json' is not allowed");
  }
  HubFixture f;
  f.hub.commit = "../../../../etc";
  expect_error(
      [&] { f.run(); }, Exit::bad_input,
      f.hub.endpoint() + "/api/models/org/name/revision/main: '../../../../etc' is no commit");
  EXPECT_TRUE(f.tree().empty());
}

TEST(HubRefusals, AnswersWithoutTagOrFromAnotherCommitAreRefused) {
  HubFixture f;
  f.hub.change_hub = [](const LoopbackRequest&, LoopbackReply& reply) {
    reply.headers.erase("ETag");
  };
  expect_error([&] { f.run(); }, Exit::bad_input,
               "the server names no entity tag (ETag) for 'config.json'");
  const std::string other(40, 'e');
  f.hub.change_hub = [&](const LoopbackRequest&, LoopbackReply& reply) {
    reply.headers["X-Repo-Commit"] = other;
  };
  expect_error([&] { f.run(); }, Exit::bad_input,
               "'config.json' comes from commit '" + other + "', not from '" + f.hub.commit + "'");
}

TEST(HubRefusals, ListingMustBeWhatItShould) {
  HubFixture f;
  const std::string url = f.hub.endpoint() + "/api/models/org/name/revision/main";
  std::string body;
  f.hub.change_hub = [&](const LoopbackRequest&, LoopbackReply& reply) { reply.body = body; };
  body = "<html>captive portal</html>";
  expect_error_with([&] { f.run(); }, Exit::bad_input, url + ": invalid JSON");
  body = "{\"sha\": 5, \"siblings\": []}";
  expect_error_with([&] { f.run(); }, Exit::bad_input, url + ": sha");
  body = "{\"sha\": \"" + f.hub.commit + "\"}";
  expect_error_with([&] { f.run(); }, Exit::bad_input, "siblings");
  body = std::string(100'000, '[');
  expect_error_with([&] { f.run(); }, Exit::bad_input, "nesting deeper than 64");
}

TEST(HubRefusals, RedirectsEndSomewhereAndStayOnTheWeb) {
  HubFixture f;
  f.connection.attempts = 1;
  answer_with(f, "/api/", 302, {{"Location", "/api/models/again"}});
  expect_refusal(
      f, Exit::io,
      "cannot load model 'org/name' from " + f.hub.endpoint() + ": more than 5 redirects", "", 6);
  f.hub.forget();
  f.connection.attempts = 5;  // asking again would give the same
  answer_with(f, "/api/", 302, {{"Location", "file:///etc/passwd"}});
  expect_refusal(f, Exit::io,
                 "cannot load model 'org/name' from " + f.hub.endpoint() +
                     ": the server sends us on to an address that is not https: "
                     "'file:///etc/passwd'",
                 "", 1);
}

TEST(HubRefusals, WhatWasEncryptedStaysEncrypted) {
  for (const char* from : {"https://hub.co/a/b", "HTTPS://HUB.co/a/b", "https://hub.co:8443/a/b"}) {
    for (const char* plain :
         {"http://hub.co/x", "HTTP://hub.co/x", "http://127.0.0.1:80/x", "hTtP://storage.co/x"}) {
      EXPECT_EQ(redirect_target(from, plain), std::nullopt) << from << " to " << plain;
    }
  }
  EXPECT_EQ(redirect_target("https://hub.co/a/b", "https://storage.co/x"), "https://storage.co/x");
  EXPECT_EQ(redirect_target("https://hub.co/a/b", "//storage.co/x"), "https://storage.co/x");
  EXPECT_EQ(redirect_target("https://hub.co/a/b", "/x?y=1"), "https://hub.co/x?y=1");
  EXPECT_EQ(redirect_target("https://hub.co/a/b", "c"), "https://hub.co/a/c");
  EXPECT_EQ(redirect_target("http://127.0.0.1:1/a", "http://127.0.0.1:2/b"),
            "http://127.0.0.1:2/b");
  EXPECT_EQ(redirect_target("http://127.0.0.1:1/a", "https://hub.co/b"), "https://hub.co/b");
}

TEST(HubRefusals, RedirectsLeadNowhereButTheWeb) {
  for (const char* from : {"https://hub.co/a", "http://127.0.0.1:1/a"}) {
    for (const char* other : {"file:///etc/passwd", "ftp://hub.co/x", "gopher://hub.co:70/x",
                              "scp://hub.co/x", "data:text/plain,x", "https://", "http:///x:y"}) {
      EXPECT_EQ(redirect_target(from, other), std::nullopt) << from << " to " << other;
    }
  }
}

TEST(HubRefusals, LinkThatLiesInTheCacheIsNotFollowedOutOfIt) {
  HubFixture f;
  // A snapshot's link that points elsewhere is replaced by one that points to the blob.
  const fs::path link = f.repo_folder() / "snapshots" / f.hub.commit / "config.json";
  fs::create_directories(link.parent_path());
  fs::create_symlink(f.folder.write("outside", "keep"), link);
  f.run();
  EXPECT_EQ(f.folder.read("outside"), "keep");
  EXPECT_EQ(HubFixture::content(link), "{}\n");
}

}  // namespace
}  // namespace llm
