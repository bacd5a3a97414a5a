// Ids recorded by tests/support/make_tokenizer_fixtures.py with Hugging Face's tokenizers.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(LLM_TEST_DATA) / "tokenizers";

std::vector<fs::path> fixtures() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(kFixtures)) {
    if (fs::exists(entry.path() / "ids.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

TEST(HfParity, EveryKindGivesTheRecordedIds) {
  ASSERT_GE(fixtures().size(), 12u);
  for (const fs::path& folder : fixtures()) {
    SCOPED_TRACE(folder.filename());
    const auto tokenizer = load_tokenizer(folder);
    const nlohmann::json rows = parse_json_file(folder / "ids.json");
    ASSERT_GT(rows.size(), 100u);
    int shown = 0;
    for (const auto& row : rows) {
      const auto text = row[0].get<std::string>();
      const auto expected = row[1].get<std::vector<int32_t>>();
      const std::vector<int32_t> ids = tokenizer->encode_with_special(text);
      EXPECT_EQ(ids, expected) << "'" << text << "'";
      EXPECT_EQ(tokenizer->with_template(ids), row[2].get<std::vector<int32_t>>()) << text;
      if (HasNonfatalFailure() && ++shown == 5) break;
    }
  }
}

TEST(HfParity, DecodingGivesTheRecordedTextWhereItIsValid) {
  for (const fs::path& folder : fixtures()) {
    SCOPED_TRACE(folder.filename());
    const auto tokenizer = load_tokenizer(folder);
    const nlohmann::json rows = parse_json_file(folder / "ids.json");
    for (const auto& row : rows) {
      const auto decoded = row[3].get<std::string>();
      if (decoded.find("\xEF\xBF\xBD") != std::string::npos) continue;  // exact bytes here
      ASSERT_EQ(tokenizer->decode(row[1].get<std::vector<int32_t>>()), decoded)
          << "'" << row[0].get<std::string>() << "'";
    }
  }
}

TEST(HfParity, SpecialTokensInUserTextStayText) {
  for (const fs::path& folder : fixtures()) {
    SCOPED_TRACE(folder.filename());
    const auto tokenizer = load_tokenizer(folder);
    for (const char* text : {"<s>", "</s> x", "a<mask>", "<|im_end|>", "<tool>"}) {
      for (const int32_t id : tokenizer->encode(text)) {
        if (id != tokenizer->unk_id()) {
          EXPECT_FALSE(tokenizer->is_special(id)) << text;
        }
        EXPECT_NE(tokenizer->token_text(id), "<tool>");
      }
    }
  }
}

}  // namespace
}  // namespace llm
