// The tiktoken form of tokenizer.model: a vocabulary with Llama 3's pattern, written in both forms,
// gives the same ids in both; tests/tokenizer/hf_parity_test.cpp holds those of tokenizer.json.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "tests/tokenizer/sample_text.h"
#include "tokenizer/base64.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/word_model.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

const fs::path kLlama3 = fs::path(LLM_TEST_DATA) / "tokenizers" / "llama3";
constexpr int32_t kSpecialInFront = 5;  // <pad> <s> </s> <unk> <mask>: a tiktoken file has none

std::string as_tiktoken() {
  const nlohmann::json document = parse_json_file(kLlama3 / "tokenizer.json");
  std::map<int32_t, std::string> tokens;
  for (const auto& [token, id] : document["model"]["vocab"].items()) tokens[id] = token;
  std::string file, bytes;
  for (const auto& [id, token] : tokens) {
    if (id < kSpecialInFront) continue;
    EXPECT_TRUE(from_byte_alphabet(token, bytes)) << token;
    file += fmt::format("{} {}\n", encode_base64(bytes), id - kSpecialInFront);
  }
  return file;
}

TEST(TiktokenFile, GivesTheIdsOfItsTokenizerJson) {
  const auto json = load_tokenizer(kLlama3);
  const auto tiktoken = load_tokenizer_bytes(as_tiktoken(), "tokenizer.model");
  std::vector<std::string> texts = {test::sample_prose(20'000), ""};
  for (const auto& row : parse_json_file(kLlama3 / "ids.json")) texts.push_back(row[0]);
  Random random(5);
  for (int i = 0; i < 100; ++i) texts.push_back(test::hostile_text(random, 20));
  ASSERT_GT(texts.size(), 200u);
  for (const std::string& text : texts) {
    std::vector<int32_t> ids = tiktoken->encode(text);
    EXPECT_EQ(tiktoken->decode(ids), text);
    for (int32_t& id : ids) id += kSpecialInFront;
    EXPECT_EQ(ids, json->encode(text)) << "'" << text << "'";
  }
}

TEST(TiktokenFile, LlamaThreesSpecialTokensFollowTheLastRank) {
  const auto tokenizer = load_tokenizer_bytes(as_tiktoken(), "tokenizer.model");
  EXPECT_EQ(tokenizer->vocab_size(), 595 + 256);
  EXPECT_EQ(tokenizer->bos_id(), 595);
  EXPECT_EQ(tokenizer->eos_id(), 596);
  EXPECT_EQ(tokenizer->token_text(595), "<|begin_of_text|>");
  EXPECT_EQ(tokenizer->token_text(596), "<|end_of_text|>");
  EXPECT_EQ(tokenizer->token_text(595 + 9), "<|eot_id|>");
  EXPECT_EQ(tokenizer->with_template({7}), (std::vector<int32_t>{595, 7}));
  for (const int32_t id : tokenizer->encode("<|eot_id|>")) EXPECT_LT(id, 595);
}

}  // namespace
}  // namespace llm
