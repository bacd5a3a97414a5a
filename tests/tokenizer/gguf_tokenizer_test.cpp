#include "tokenizer/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

constexpr const char* kText = "the cat\n  saß  on 30 mats, 你好 \xF0\x9F\x98\x80\t<s> it's\xff";

TokenizerParts sentencepiece_parts() {
  TokenizerParts parts;
  parts.kind = TokenizerKind::bpe;
  parts.pre.clear();
  parts.pieces = {{"<unk>", 0, PieceType::unknown},
                  {"<s>", 0, PieceType::control},
                  {"</s>", 0, PieceType::control}};
  for (int byte = 0; byte < 256; ++byte) {
    parts.pieces.push_back({fmt::format("<0x{:02X}>", byte), 0, PieceType::byte});
  }
  const char* texts[] = {
      "th", "at", "the", "\xE2\x96\x81th", "\xE2\x96\x81the", "\xE2\x96\x81", "t", "h", "e",
      "a",  "c",  "s"};
  float score = 0;
  for (const char* text : texts) {
    parts.pieces.push_back({text, --score, PieceType::normal});
  }
  parts.pieces.push_back({"\xE2\x96\x81\xE2\x96\x81", 0, PieceType::user_defined});
  parts.bos_id = 1;
  parts.eos_id = 2;
  parts.unk_id = 0;
  parts.add_space_prefix = true;
  parts.add_bos = true;
  return parts;
}

TokenizerParts byte_parts() {
  TokenizerParts parts;
  parts.kind = TokenizerKind::byte_bpe;
  parts.pre = "llama-bpe";
  parts.ignore_merges = true;
  const auto add_byte = [&](uint32_t code_point) {
    std::string text;
    if (code_point < 0x80) {
      text += static_cast<char>(code_point);
    } else {
      text += static_cast<char>(0xC0 | code_point >> 6);
      text += static_cast<char>(0x80 | (code_point & 0x3F));
    }
    parts.pieces.push_back({text, 0, PieceType::normal});
  };
  uint32_t moved = 256;  // GPT-2's printable alphabet of bytes
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    add_byte(printable ? byte : moved++);
  }
  for (const auto& [left, right] : {std::pair<const char*, const char*>{"t", "h"},
                                    {"th", "e"},
                                    {"a", "t"},
                                    {"\xC4\xA0", "o"}}) {
    parts.merges.emplace_back(left, right);
    parts.pieces.push_back({std::string(left) + right, 0, PieceType::normal});
  }
  parts.pieces.push_back({"<|begin|>", 0, PieceType::control});
  parts.pieces.push_back({"<|end|>", 0, PieceType::control});
  parts.bos_id = 260;
  parts.eos_id = 261;
  parts.add_bos = true;
  return parts;
}

std::filesystem::path write(const TemporaryFolder& folder, const GgufMetadata& metadata) {
  return folder.write("x.gguf", gguf_head_bytes(metadata));
}

void expect_equal(const TokenizerParts& a, const TokenizerParts& b) {
  EXPECT_EQ(a.kind, b.kind);
  ASSERT_EQ(a.pieces.size(), b.pieces.size());
  for (size_t i = 0; i < a.pieces.size(); ++i) {
    EXPECT_EQ(a.pieces[i].text, b.pieces[i].text) << i;
    EXPECT_EQ(a.pieces[i].score, b.pieces[i].score) << i;
    EXPECT_EQ(a.pieces[i].type, b.pieces[i].type) << i;
  }
  EXPECT_EQ(a.merges, b.merges);
  EXPECT_EQ(a.ignore_merges, b.ignore_merges);
  EXPECT_EQ(a.add_space_prefix, b.add_space_prefix);
  EXPECT_EQ(a.bos_id, b.bos_id);
  EXPECT_EQ(a.eos_id, b.eos_id);
  EXPECT_EQ(a.unk_id, b.unk_id);
  EXPECT_EQ(a.pad_id, b.pad_id);
  EXPECT_EQ(a.add_bos, b.add_bos);
  EXPECT_EQ(a.add_eos, b.add_eos);
}

class GgufTokenizer : public testing::TestWithParam<TokenizerKind> {
 protected:
  TokenizerParts parts() const {
    return GetParam() == TokenizerKind::bpe ? sentencepiece_parts() : byte_parts();
  }
};

TEST_P(GgufTokenizer, SurvivesTheFile) {
  TemporaryFolder folder;
  const auto rows = static_cast<int64_t>(parts().pieces.size());
  const auto path = write(folder, gguf_tokenizer_keys(parts(), rows, ""));
  const auto file = Gguf::open(path);
  expect_equal(gguf_tokenizer_parts(*file), parts());
  EXPECT_EQ(gguf_chat_template(*file), "");
}

TEST_P(GgufTokenizer, CutsTextAsTheOneThatWasPutIn) {
  TemporaryFolder folder;
  const auto rows = static_cast<int64_t>(parts().pieces.size());
  const auto before = make_tokenizer(parts(), "parts");
  const auto after =
      load_tokenizer(write(folder, gguf_tokenizer_keys(tokenizer_parts(*before), rows, "")));
  EXPECT_EQ(after->encode(kText), before->encode(kText));
  EXPECT_EQ(after->decode(after->encode(kText)), kText);
  EXPECT_EQ(after->bos_id(), parts().bos_id);
  EXPECT_EQ(after->eos_id(), parts().eos_id);
  EXPECT_EQ(tokenizer_parts(*after).add_bos, true);
}

// A model's embedding may have more rows than the tokenizer pieces.
TEST_P(GgufTokenizer, RowsWithoutAPieceBecomeUnusedOnes) {
  TemporaryFolder folder;
  const auto rows = static_cast<int64_t>(parts().pieces.size()) + 2;
  const auto path = write(folder, gguf_tokenizer_keys(parts(), rows, "{{ bos_token }}"));
  const TokenizerParts read = gguf_tokenizer_parts(*Gguf::open(path));
  ASSERT_EQ(static_cast<int64_t>(read.pieces.size()), rows);
  EXPECT_EQ(read.pieces.back().text, fmt::format("[PAD{}]", rows - 1));
  EXPECT_EQ(read.pieces.back().type, PieceType::unused);
  EXPECT_EQ(gguf_chat_template(*Gguf::open(path)), "{{ bos_token }}");
  EXPECT_EQ(load_tokenizer(path)->vocab_size(), rows);
}

INSTANTIATE_TEST_SUITE_P(Kinds, GgufTokenizer,
                         testing::Values(TokenizerKind::bpe, TokenizerKind::byte_bpe),
                         [](const auto& test) {
                           return test.param == TokenizerKind::bpe ? "SentencePiece" : "Bytes";
                         });

// llama.cpp takes user-defined pieces out of the text before spaces become U+2581.
TEST(GgufTokenizerKeys, UserDefinedPiecesStandAsTheTextTheyMatch) {
  const GgufMetadata metadata = gguf_tokenizer_keys(sentencepiece_parts(), 272, "");
  const std::string bytes = gguf_head_bytes(metadata);
  const Gguf file(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.gguf");
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens").back(), "  ");
  EXPECT_EQ(file.texts("tokenizer.ggml.tokens")[264], "\xE2\x96\x81");
}

TEST(GgufTokenizerKeys, WhatLlamaCppWouldCutDifferentlyIsRefused) {
  TokenizerParts parts = byte_parts();
  parts.pre.clear();
  expect_error([&] { (void)gguf_tokenizer_keys(parts, 262, ""); }, Exit::bad_input,
               "GGUF has no name for the tokenizer's pre-tokenizer; llama.cpp would cut text "
               "differently",
               "a directory keeps it: --output DIR");
  expect_error([&] { (void)gguf_tokenizer_keys(byte_parts(), 261, ""); }, Exit::bad_input,
               "tokenizer has 262 pieces, checkpoint embedding has 261 rows");
}

void expect_refusal(const std::function<void(GgufMetadata&)>& put, const std::string& message) {
  GgufMetadata metadata;
  put(metadata);
  const std::string bytes = gguf_head_bytes(metadata);
  const Gguf file(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.gguf");
  expect_error([&] { (void)gguf_tokenizer_parts(file); }, Exit::bad_input, "x.gguf: " + message);
}

const std::vector<std::string> kTwo = {"a", "b"};

TEST(HostileGgufTokenizer, IsRefusedByRule) {
  expect_refusal([](GgufMetadata&) {}, "the file holds no tokenizer");
  expect_refusal([](GgufMetadata& keys) { keys.text("tokenizer.ggml.model", "none"); },
                 "the file holds no tokenizer");
  expect_refusal([](GgufMetadata& m) { m.text("tokenizer.ggml.model", "rwkv"); },
                 "tokenizer.ggml.model 'rwkv' is not supported (llama, gpt2, t5 are)");
  expect_refusal([](GgufMetadata& m) { m.text("tokenizer.ggml.model", "llama"); },
                 "key 'tokenizer.ggml.tokens' is missing");
  expect_refusal(
      [](GgufMetadata& m) {
        m.text("tokenizer.ggml.model", "llama");
        m.texts("tokenizer.ggml.tokens", kTwo);
        m.float32s("tokenizer.ggml.scores", std::vector<float>{1});
      },
      "2 tokens, 1 scores and 2 token types do not go together");
  expect_refusal(
      [](GgufMetadata& m) {
        m.text("tokenizer.ggml.model", "gpt2");
        m.texts("tokenizer.ggml.tokens", kTwo);
        m.int32s("tokenizer.ggml.token_type", std::vector<int32_t>{1, 7});
      },
      "token 1 has type 7, which is unknown");
  expect_refusal(
      [](GgufMetadata& m) {
        m.text("tokenizer.ggml.model", "gpt2");
        m.texts("tokenizer.ggml.tokens", kTwo);
        m.texts("tokenizer.ggml.merges", std::vector<std::string>{"a b", "ab"});
      },
      "merge 1 is not two pieces");
  expect_refusal(
      [](GgufMetadata& m) {
        m.text("tokenizer.ggml.model", "gpt2");
        m.texts("tokenizer.ggml.tokens", kTwo);
        m.texts("tokenizer.ggml.merges", std::vector<std::string>{});
        m.text("tokenizer.ggml.pre", "nobody");
      },
      "tokenizer.ggml.pre 'nobody' is not supported; text would be cut differently");
  expect_refusal(
      [](GgufMetadata& m) {
        m.text("tokenizer.ggml.model", "gpt2");
        m.texts("tokenizer.ggml.tokens", kTwo);
        m.texts("tokenizer.ggml.merges", std::vector<std::string>{});
        m.uint32("tokenizer.ggml.eos_token_id", 2);
      },
      "key 'tokenizer.ggml.eos_token_id' is 2, there are 2 tokens");
}

}  // namespace
}  // namespace llm
