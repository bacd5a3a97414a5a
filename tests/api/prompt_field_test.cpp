#include "serving/http/api/prompt_field.h"

#include <gtest/gtest.h>

#include "serving/http/http_error.h"
#include "tests/api/served.h"

namespace llm::test {
namespace {

TEST(PromptField, RowsOfAPaddedEmbeddingAreNoTokensOfAPrompt) {
  const TemporaryFolder folder;
  CountingModel padded(LetterTokenizer::kVocab + 5, kContext);
  LetterTokenizer tokenizer;
  api::ServedModelOptions options;
  options.directory = folder.path();
  const api::ServedModel model(padded, tokenizer, options, {});
  const int32_t last = LetterTokenizer::kVocab - 1;
  EXPECT_EQ(api::read_token_ids(model, {0, last}, "prompt"), (std::vector<int32_t>{0, last}));
  try {
    api::read_token_ids(model, {0, last + 1}, "prompt");
    FAIL() << "an id that stands for nothing";
  } catch (const http::HttpError& error) {
    EXPECT_EQ(error.status(), 400);
    EXPECT_STREQ(error.what(), "prompt[1] = 259 is not below vocab_size 259");
  }
}

}  // namespace
}  // namespace llm::test
