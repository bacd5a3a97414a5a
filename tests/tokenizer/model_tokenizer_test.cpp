#include "tokenizer/model_tokenizer.h"

#include <gtest/gtest.h>

#include "gguf/gguf_writer.h"
#include "tests/support/temporary_folder.h"
#include "tokenizer/chat_inputs.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/tokenizer_parts.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

TokenizerParts two_letters() {
  TokenizerParts parts;
  parts.pieces = {{"<s>", 0, PieceType::control}, {"</s>", 0, PieceType::control}, {"a"}, {"b"}};
  parts.bos_id = 0;
  parts.eos_id = 1;
  return parts;
}

void write_tokenizer(const fs::path& folder) {
  for (const TokenizerFile& file : make_tokenizer(two_letters(), "letters")->files())
    std::ofstream(folder / file.name, std::ios::binary) << file.bytes;
}

std::string rendered(const std::optional<ChatTemplate>& chat_template) {
  if (!chat_template) return "none";
  ChatInputs inputs;
  inputs.messages = {{{"role", "user"}, {"content", "a"}}};
  return chat_template->render(inputs).text;
}

constexpr const char* kTemplate =
    "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}";

TEST(ModelTokenizer, OfACheckpointLiesInTheRunDirectoryAboveIt) {
  const TemporaryFolder run;
  const fs::path checkpoint = run / "final";
  fs::create_directory(checkpoint);
  EXPECT_FALSE(has_tokenizer(checkpoint));
  EXPECT_EQ(tokenizer_place(checkpoint), checkpoint);
  write_tokenizer(run.path());
  run.write("chat_template.jinja", "{{ messages[0].content }}!");
  EXPECT_TRUE(has_tokenizer(checkpoint));
  EXPECT_EQ(tokenizer_place(checkpoint), run.path());
  const auto tokenizer = open_model_tokenizer(checkpoint, "");
  EXPECT_EQ(tokenizer->encode("ab"), (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(rendered(open_chat_template(checkpoint, *tokenizer)), "a!");
  write_tokenizer(checkpoint);
  EXPECT_EQ(tokenizer_place(checkpoint), checkpoint);
  EXPECT_EQ(rendered(open_chat_template(checkpoint, *tokenizer)), "none");
}

TEST(ModelTokenizer, OfAGgufFileLiesInIt) {
  const TemporaryFolder folder;
  const fs::path path =
      folder.write("x.gguf", gguf_head_bytes(gguf_tokenizer_keys(two_letters(), 4, kTemplate)));
  ASSERT_TRUE(has_tokenizer(path));
  const auto tokenizer = open_model_tokenizer(path, "");
  EXPECT_EQ(tokenizer->encode("ab"), (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(model_chat_template(path), kTemplate);
  EXPECT_EQ(rendered(open_chat_template(path, *tokenizer)), "<s>a</s>");
  const fs::path plain =
      folder.write("y.gguf", gguf_head_bytes(gguf_tokenizer_keys(two_letters(), 4, "")));
  EXPECT_EQ(rendered(open_chat_template(plain, *tokenizer)), "none");
}

TEST(ModelTokenizer, ANamedOneStandsInForTheModelsOwn) {
  const TemporaryFolder folder, other;
  write_tokenizer(other.path());
  EXPECT_EQ(open_model_tokenizer(folder.path(), other.path().string())->vocab_size(), 4);
}

}  // namespace
}  // namespace llm
