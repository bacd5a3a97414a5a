#include "tokenizer/tokenizer_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace llm {
namespace {

using nlohmann::json;

/// A byte-level BPE that knows the letters a, b, c, "ab" and "abc".
json small_json() {
  return {{"version", "1.0"},
          {"added_tokens",
           {{{"id", 5}, {"content", "</s>"}, {"special", true}, {"normalized", false}}}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"ab", 3}, {"abc", 4}}},
            {"merges", {"a b", "ab c"}}}}};
}

std::string refusal_of(const json& document, const std::string& text = "") {
  try {
    load_tokenizer_bytes(text.empty() ? document.dump() : text, "x");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::bad_input);
    return error.message();
  }
  return "accepted";
}

using Ids = std::vector<int32_t>;

TEST(TokenizerJson, ASmallFileWorks) {
  const auto tokenizer = load_tokenizer_bytes(small_json().dump(), "x");
  EXPECT_EQ(tokenizer->encode("abcab"), (Ids{4, 3}));
  EXPECT_EQ(tokenizer->decode(Ids{4, 3, 5, 0}), "abcaba");
  EXPECT_EQ(tokenizer->eos_id(), 5);
  EXPECT_EQ(tokenizer->vocab_size(), 6);
  EXPECT_EQ(tokenizer->file_name(), "tokenizer.json");
}

TEST(TokenizerJson, MergesMayBePairs) {
  json document = small_json();
  document["model"]["merges"] = json::array({json::array({"a", "b"}), json::array({"ab", "c"})});
  EXPECT_EQ(load_tokenizer_bytes(document.dump(), "x")->encode("abcab"), (Ids{4, 3}));
}

TEST(TokenizerJson, OtherModelsAreRefusedByName) {
  json document = small_json();
  for (const char* type : {"WordPiece", "WordLevel"}) {
    document["model"]["type"] = type;
    EXPECT_EQ(refusal_of(document),
              fmt::format("'x': tokenizer.json model type '{}' is not supported (BPE, Unigram are)",
                          type));
  }
}

TEST(TokenizerJson, UnknownStepsAreRefusedByName) {
  json document = small_json();
  document["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Metaspace"}, {"replacement", "_"}}, {{"type", "UnicodeScripts"}}}}};
  EXPECT_EQ(refusal_of(document),
            "'x': pre_tokenizer 'Metaspace+UnicodeScripts' not supported; result would differ");
  document["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "WhitespaceSplit"}}}}};
  EXPECT_EQ(refusal_of(document),
            "'x': pre_tokenizer 'ByteLevel+WhitespaceSplit' not supported; result would differ");
  document = small_json();
  document["normalizer"] = {{"type", "BertNormalizer"}};
  EXPECT_EQ(refusal_of(document),
            "'x': normalizer 'BertNormalizer' not supported; result would differ");
  document = small_json();
  document["decoder"] = {{"type", "CTC"}};
  EXPECT_EQ(refusal_of(document), "'x': decoder 'CTC' not supported; result would differ");
  document = small_json();
  document["post_processor"] = {{"type", "Odd"}};
  EXPECT_EQ(refusal_of(document), "'x': post_processor 'Odd' not supported; result would differ");
  document = small_json();
  document["model"]["dropout"] = 0.1;
  EXPECT_EQ(refusal_of(document), "'x': model.dropout 0.1 is not supported; result would differ");
}

TEST(TokenizerJson, MergesNameKnownPieces) {
  json document = small_json();
  document["model"]["merges"] = {"a b", "a xyz"};
  EXPECT_EQ(refusal_of(document), "'x': merge 1 uses 'xyz', which is not in the vocabulary");
  document["model"]["merges"] = {"a b", "b c"};
  EXPECT_EQ(refusal_of(document), "'x': merge 1 makes 'bc', which is not in the vocabulary");
  for (const json& odd : {json("ab"), json("a b c"), json{"a"}, json(3), json(nullptr)}) {
    document["model"]["merges"] = {odd};
    EXPECT_EQ(refusal_of(document), "'x': merge 0 is not two pieces") << odd;
  }
}

TEST(TokenizerJson, IdsAreDenseAndUsedOnce) {
  json document = small_json();
  document["added_tokens"][0]["id"] = 4;
  EXPECT_EQ(refusal_of(document), "'x': added token '</s>' has id 4, already used by 'abc'");
  document["added_tokens"][0]["id"] = 7;
  EXPECT_EQ(refusal_of(document), "'x': no token has id 5, though ids go up to 7");
  document = small_json();
  document["added_tokens"][0]["content"] = "ab";
  EXPECT_EQ(refusal_of(document), "'x': added token 'ab' has id 5, but the vocabulary gives it 3");
  document = small_json();
  document["model"]["vocab"]["c"] = 1;
  EXPECT_EQ(refusal_of(document), "'x': pieces 'b' and 'c' both have id 1");
  for (const json& odd : {json(-1), json(1.5), json("1"), json(2'000'000), json(nullptr)}) {
    document["model"]["vocab"]["c"] = odd;
    EXPECT_EQ(refusal_of(document),
              "'x': the id of piece 'c' must be a whole number from 0 to 1999999");
  }
  EXPECT_EQ(refusal_of({}, R"({"model": {"vocab": {"a": 0, "a": 1}}})"),
            "'x': key 'a' appears twice");
}

TEST(TokenizerJson, LongPiecesAreRefused) {
  json document = small_json();
  document["model"]["vocab"][std::string(65537, 'a')] = 6;
  EXPECT_EQ(refusal_of(document), "'x': piece 6 is 65537 bytes long (limit 65536)");
}

TEST(TokenizerJson, BadPatternsNameTheOffset) {
  json document = small_json();
  const auto with = [&](const char* pattern) {
    document["pre_tokenizer"] = {
        {"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
    return refusal_of(document);
  };
  EXPECT_EQ(with("abc|(def|g"),
            "'x': pre_tokenizer pattern is invalid at offset 10: missing closing parenthesis");
  EXPECT_EQ(with("[a-z&&[^x]]"),
            "'x': pre_tokenizer pattern is invalid at offset 4: an intersection of sets");
  EXPECT_EQ(with("[a[bc]]"),
            "'x': pre_tokenizer pattern is invalid at offset 2: a set inside a set");
  EXPECT_EQ(with("a|[b"), "'x': pre_tokenizer pattern is invalid at offset 4: an unfinished set");
}

TEST(TokenizerJson, PatternsThatExplodeAreStopped) {
  json document = small_json();
  document["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", "(?:a+)+$"}}}, {"behavior", "Isolated"}},
        {{"type", "ByteLevel"}, {"use_regex", false}}}}};
  const auto tokenizer = load_tokenizer_bytes(document.dump(), "x");
  try {
    tokenizer->encode(std::string(60, 'a') + "b");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::bad_input);
    EXPECT_EQ(error.message(),
              "'x': pre_tokenizer pattern fails on a text of 61 bytes: match limit exceeded");
  }
}

TEST(TokenizerJson, AnEndOfTextTokenIsNeeded) {
  json document = small_json();
  document["added_tokens"][0]["content"] = "<end>";
  EXPECT_EQ(refusal_of(document),
            "'x' has no end-of-text token (none is named in tokenizer_config.json)");
}

TEST(TokenizerJson, DamagedFilesAreRefused) {
  const std::string good = small_json().dump();
  EXPECT_EQ(refusal_of({}, good.substr(0, good.size() / 2)).substr(0, 17), "'x': invalid JSON");
  EXPECT_EQ(refusal_of({}, "{}"), "'x': model is missing");
  EXPECT_EQ(refusal_of({}, R"({"model": {"type": "BPE", "vocab": [], "merges": []}})"),
            "'x': model.vocab is not an object");
  EXPECT_EQ(refusal_of({}, R"({"model": {"type": "BPE", "vocab": {}, "merges": []}})"),
            "'x': model.vocab is empty");
  std::string deep = R"({"model": )";
  for (int i = 0; i < 100; ++i) deep += "[";
  EXPECT_EQ(refusal_of({}, deep), "'x': nesting deeper than 64");
  json document = small_json();
  document["model"]["unk_token"] = "<unk>";
  EXPECT_EQ(refusal_of(document), "'x': the unknown token '<unk>' is not in the vocabulary");
}

TEST(TokenizerJson, BytesWithoutAPieceAreUnknownOrLost) {
  json document = small_json();
  EXPECT_EQ(load_tokenizer_bytes(document.dump(), "x")->encode("axb"), (Ids{3}));  // a, b meet
  document["model"]["vocab"]["?"] = 6;
  document["model"]["unk_token"] = "?";
  EXPECT_EQ(load_tokenizer_bytes(document.dump(), "x")->encode("axxb"), (Ids{0, 6, 6, 1}));
  document["model"]["fuse_unk"] = true;
  EXPECT_EQ(load_tokenizer_bytes(document.dump(), "x")->encode("axxb"), (Ids{0, 6, 1}));
}

}  // namespace
}  // namespace llm
