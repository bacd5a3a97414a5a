// Texts that have no good place to cut: time grows with their length, not with its square.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

using Seconds = std::chrono::duration<double>;

std::string repeated(std::string_view unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

TEST(WorstCase, AMegabyteOfAnythingTakesAMoment) {
  // Milliseconds each on any machine; with quadratic work it would be minutes.
  constexpr Seconds kMost{10};
  for (const char* kind : {"gpt2", "llama3", "llama2", "gpt4o", "unigram_bytes"}) {
    const auto tokenizer =
        load_tokenizer(std::filesystem::path(LLM_TEST_DATA) / "tokenizers" / kind);
    for (const std::string_view unit :
         {"a", "A", " ", "\n", "a  ", "\n  x", "東", "!", "1", "ab", "\u0301", "\u2581", "\xFF"}) {
      const std::string text = repeated(unit, 1'000'000);
      const auto start = std::chrono::steady_clock::now();
      const std::vector<int32_t> ids = tokenizer->encode(text);
      EXPECT_LT(Seconds(std::chrono::steady_clock::now() - start).count(), kMost.count())
          << kind << " on '" << unit << "'";
      EXPECT_GT(ids.size(), 0u);
    }
  }
}

}  // namespace
}  // namespace llm
