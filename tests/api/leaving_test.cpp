// A client that leaves ends its request in the engine, whatever the request was at: waiting,
// reading its prompt or writing (reliability T21).
#include <gtest/gtest.h>

#include "tests/api/served.h"

namespace llm::test {
namespace {

using std::chrono::milliseconds;

void send_completion(http::RawClient& client, const Json& more, bool stream) {
  send_body(client, "/v1/completions", with({{"max_tokens", 200}, {"stream", stream}}, more));
}

uint64_t cancelled(const Served& api) {
  return api.served->engine().stats().finished[static_cast<size_t>(FinishReason::cancelled)];
}

TEST(Leaving, ARequestThatWaitsIsCancelled) {
  for (const bool stream : {true, false}) {
    const Served api({}, [](auto&, auto& engine) { engine.max_batch_size = 1; });
    write_slowly(api, milliseconds(5));
    http::RawClient running(api.server->port()), waiting(api.server->port());
    send_completion(running, {{"prompt", "a"}}, true);
    const auto stats = [&] { return api.served->engine().stats(); };
    ASSERT_TRUE(soon([&] { return stats().generated_tokens >= 1; }));
    send_completion(waiting, {{"prompt", "b"}}, stream);
    ASSERT_TRUE(soon([&] { return stats().waiting == 1; }));
    waiting.close();
    EXPECT_TRUE(soon([&] { return cancelled(api) == 1; }));
    EXPECT_EQ(stats().waiting, 0);
    EXPECT_EQ(stats().running, 1);         // the other goes on
    EXPECT_EQ(stats().prompt_tokens, 1u);  // and nothing was read for the one that left
    running.close();
    EXPECT_TRUE(soon([&] { return api.served->engine().open_requests() == 0; }));
  }
}

TEST(Leaving, ARequestWhosePromptIsReadIsCancelled) {
  for (const bool stream : {true, false}) {
    const Served api({}, [](auto&, auto& engine) {
      engine.prefill_chunk = 4;
      engine.prefix_cache = false;
    });
    write_slowly(api, milliseconds(2));
    // (Texts that run beside it, so that the prompt is read in chunks, and slowly.)
    http::RawClient running(api.server->port()), reading(api.server->port());
    send_completion(running, {{"prompt", "a"}, {"n", 8}}, true);
    const auto stats = [&] { return api.served->engine().stats(); };
    ASSERT_TRUE(soon([&] { return stats().generated_tokens >= 8; }));
    send_completion(reading, {{"prompt", std::string(200, 'b')}, {"max_tokens", 20}}, stream);
    ASSERT_TRUE(soon([&] { return stats().prompt_tokens >= 8 + 4; }));
    reading.close();
    EXPECT_TRUE(soon([&] { return cancelled(api) == 1; }));
    EXPECT_LT(stats().prompt_tokens, 8u + 200u);
    const uint64_t read = stats().prompt_tokens, written = stats().generated_tokens;
    EXPECT_TRUE(soon([&] { return stats().generated_tokens > written + 80; }));
    EXPECT_EQ(stats().prompt_tokens, read);  // no more is read for it
    running.close();
    EXPECT_TRUE(soon([&] { return api.served->engine().open_requests() == 0; }));
    EXPECT_TRUE(soon([&] { return stats().kv_blocks_used == 0; }));
  }
}

TEST(Leaving, ARequestWhoseTextIsWrittenIsCancelled) {
  for (const bool stream : {true, false}) {
    const Served api({}, [](auto&, auto& engine) { engine.prefix_cache = false; });
    write_slowly(api, milliseconds(3));
    http::RawClient client(api.server->port());
    send_completion(client, {{"prompt", "a"}}, stream);
    const auto stats = [&] { return api.served->engine().stats(); };
    ASSERT_TRUE(soon([&] { return stats().generated_tokens >= 3; }));
    client.close();
    EXPECT_TRUE(soon([&] { return api.served->engine().open_requests() == 0; }));
    EXPECT_TRUE(soon([&] { return cancelled(api) == 1; }));
    EXPECT_LT(stats().generated_tokens, 150u);
    EXPECT_TRUE(soon([&] { return stats().kv_blocks_used == 0; }));
  }
}

}  // namespace
}  // namespace llm::test
