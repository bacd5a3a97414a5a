// A client that asks for a stream and does not read it: its text ends, memory stays bounded, and
// the others are answered meanwhile (reliability T20).
#include <gtest/gtest.h>

#include "tests/api/served.h"
#include "tests/support/resident.h"

namespace llm::test {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kTexts = 16, kTokens = 230;

/// About 2 KB for each token of each text: more in all than the sockets of both sides take.
void send_long_stream(http::RawClient& client) {
  send_body(client, "/v1/chat/completions",
            {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})},
             {"n", kTexts},
             {"max_tokens", kTokens},
             {"temperature", 1},
             {"logprobs", true},
             {"top_logprobs", 20},
             {"stream", true}});
}

/// Asks for short texts until told to stop; all of them must be right.
struct Reader {
  explicit Reader(const Served& api)
      : wanted(greedy_text(letter_model(), LetterTokenizer().encode("ab"), 4)),
        thread([this, &api] {
          for (int64_t seed = 0; !stop; ++seed) {
            const Json answer = api.post("/v1/completions", {{"prompt", "ab"},
                                                             {"max_tokens", 4},
                                                             {"temperature", 0},
                                                             {"user", std::to_string(seed)}});
            EXPECT_EQ(answer["choices"][0]["text"], wanted);
            ++answers;
          }
        }) {}
  ~Reader() {
    stop = true;
    thread.join();
  }
  std::string wanted;
  std::atomic<bool> stop{false};
  std::atomic<int> answers{0};
  std::thread thread;
};

uint64_t cancelled_texts(const Served& api) {
  return api.served->engine().stats().finished[static_cast<size_t>(FinishReason::cancelled)];
}

TEST(SlowReader, IsCutAtTheWriteStallAndItsTextsEnd) {
  api::ApiServerOptions options;
  options.limits.write_stall = milliseconds(300);
  options.limits.write_bytes_per_second = 100 << 20;
  options.limits.stream_queue_bytes = 64 << 20;
  const Served api(options);
  write_slowly(api, milliseconds(1));
  http::RawClient sleeper(api.server->port(), 4096);
  send_long_stream(sleeper);
  ASSERT_TRUE(soon([&] { return api.served->engine().stats().running == kTexts; }));
  const Reader reader(api);
  EXPECT_TRUE(soon([&] { return cancelled_texts(api) == kTexts; }));
  EXPECT_GT(reader.answers, 0);
  const int before = reader.answers;
  EXPECT_TRUE(soon([&] { return reader.answers > before + 1; }));
}

TEST(SlowReader, ManyAreHeldBeforeTheyFillTheMemoryAndGiveWay) {
  constexpr int64_t kSleepers = 8;
  api::ApiServerOptions options;
  options.limits.stream_queue_bytes = 64 << 10;
  options.limits.write_stall = milliseconds(4000);
  options.limits.write_bytes_per_second = 100 << 20;
  const Served api(options, [](auto&, EngineOptions& engine) {
    engine.max_batch_size = kTexts;  // of one sleeper
    engine.kv.max_blocks = 2000;
  });
  std::vector<http::RawClient> sleepers;
  for (int64_t i = 0; i < kSleepers; ++i) sleepers.emplace_back(api.server->port(), 4096);
  api.post("/v1/completions", {{"prompt", "ab"}, {"max_tokens", 4}});  // what is there anyway
  const double before = resident_megabytes();
  for (http::RawClient& sleeper : sleepers) send_long_stream(sleeper);
  ASSERT_TRUE(soon([&] { return api.served->engine().stats().running >= kTexts; }));
  const Reader reader(api);
  double most = 0;
  int answers_before_the_end = 0;
  EXPECT_TRUE(soon([&] {
    most = std::max(most, resident_megabytes());
    if (cancelled_texts(api) == 0) answers_before_the_end = reader.answers;
    return cancelled_texts(api) == kSleepers * kTexts;
  }));
  EXPECT_LT(most, before + allowed_growth(25));  // of the 60 MB that they asked for
  EXPECT_GT(answers_before_the_end, 0) << "all places were held by those who do not read";
}

TEST(SlowReader, WhoReadsGetsAllOfItHoweverMuchComesAtOnce) {
  api::ApiServerOptions options;
  options.limits.stream_queue_bytes = 16 << 10;
  const Served api(options);
  // Beams come whole, when the search has ended; sampled texts faster than a thread is woken.
  for (const int64_t beams : {4, 1}) {
    Json body = {{"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})},
                 {"n", 4},
                 {"max_tokens", 100},
                 {"temperature", beams > 1 ? 0 : 1},
                 {"seed", 5},
                 {"num_beams", beams},
                 {"logprobs", true},
                 {"top_logprobs", 20}};
    const Json whole = api.post("/v1/chat/completions", body);
    body["stream"] = true;
    std::vector<std::string> texts(4);
    std::vector<size_t> tokens(4);
    for (const Json& event : api.events("/v1/chat/completions", body)) {
      for (const Json& choice : event.value("choices", Json::array())) {
        const auto index = choice["index"].get<size_t>();
        texts[index] += choice["delta"].value("content", "");
        if (choice["logprobs"].is_object()) tokens[index] += choice["logprobs"]["content"].size();
      }
    }
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(texts[i], whole["choices"][i]["message"]["content"]) << beams;
      EXPECT_EQ(tokens[i], whole["choices"][i]["logprobs"]["content"].size()) << beams;
    }
  }
}

}  // namespace
}  // namespace llm::test
