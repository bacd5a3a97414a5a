#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "serving/http/api/served_model.h"
#include "tests/serving/counting_model.h"
#include "tokenizer/tokenizer.h"

namespace llm::api {
namespace {

namespace fs = std::filesystem;

// A client finds what was most likely by comparing labels: two ids under one name would hide it.
TEST(TokenLabels, NoTwoIdsOfATokenizerHaveTheSame) {
  for (const fs::directory_entry& folder :
       fs::directory_iterator(fs::path(LLM_TEST_DATA) / "tokenizers")) {
    if (!folder.is_directory()) continue;
    SCOPED_TRACE(folder.path().filename());
    const auto tokenizer = load_tokenizer(folder.path());
    const CountingModel model(tokenizer->vocab_size(), 64);
    EngineOptions engine;
    engine.kv.max_blocks = 8;
    const ServedModel served(model, *tokenizer, {}, engine);
    std::set<std::string> labels;
    for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
      const std::string label = served.token_label(id);
      EXPECT_TRUE(labels.insert(label).second) << id << " is " << label;
      const std::string unknown = "token_id:" + std::to_string(id);
      if (tokenizer->is_special(id) || label == unknown) continue;
      const std::string bytes = served.token_bytes(id);
      EXPECT_TRUE(label == bytes || label.starts_with("bytes:")) << id << " is " << label;
    }
  }
}

// Llama 2's piece "=" and its byte token 0x3D: the piece is what texts are made of.
TEST(TokenLabels, APieceKeepsItsTextAndTheByteTokenIsNamedByItsNumber) {
  const auto tokenizer = load_tokenizer(fs::path(LLM_TEST_DATA) / "tokenizers" / "llama2");
  const CountingModel model(tokenizer->vocab_size(), 64);
  EngineOptions engine;
  engine.kv.max_blocks = 8;
  const ServedModel served(model, *tokenizer, {}, engine);
  const int32_t piece = *tokenizer->find_token("="), byte = *tokenizer->find_token("<0x3D>");
  ASSERT_EQ(served.token_bytes(piece), served.token_bytes(byte));
  EXPECT_EQ(served.token_label(piece), "=");
  EXPECT_EQ(served.token_label(byte), "token_id:" + std::to_string(byte));
}

}  // namespace
}  // namespace llm::api
