#include "data/text_reader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/data/data_test_support.h"

namespace llm {
namespace {

/// Whole documents, pieces joined.
std::vector<std::string> documents(const std::vector<std::string>& paths,
                                   const TextReaderOptions& options = {}) {
  TextReader reader(paths, options);
  std::vector<std::string> texts;
  Document document;
  while (reader.next(document)) {
    if (document.begins) {
      texts.emplace_back();
    }
    texts.back() += document.text;
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(TextReader, LinesAreDocumentsWithoutTheirBreaksAndBlankOnesAreSkipped) {
  Scratch scratch;
  EXPECT_EQ(documents({scratch.file("a.txt", "one\r\n\n  \ntwo words\nlast")}),
            (Texts{"one", "two words", "last"}));
}

TEST(TextReader, BlankLinesSeparateBlocks) {
  Scratch scratch;
  TextReaderOptions options{.split = TextSplit::blank_line};
  EXPECT_EQ(documents({scratch.file("a.txt", "\n\na\nb\n \nc\n\n\n\nd\n")}, options),
            (Texts{"a\nb", "c", "d"}));
}

TEST(TextReader, AWholeFileIsOneDocumentWithItsExactBytes) {
  Scratch scratch;
  TextReaderOptions options{.split = TextSplit::document};
  EXPECT_EQ(documents({scratch.file("a.txt", "a\n\n b\r\n"), scratch.file("b.txt", "c")}, options),
            (Texts{"a\n\n b\r\n", "c"}));
}

TEST(TextReader, EveryPieceSizeGivesTheSameDocuments) {
  Scratch scratch;
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += std::string(static_cast<size_t>(i % 37), static_cast<char>('a' + i % 26)) +
            (i % 11 == 0  ? "\n\n"
             : i % 5 == 0 ? "\xC3\xA9\xE2\x82\xAC"
                          : "\n");
  }
  std::string path = scratch.file("a.txt", text);
  for (TextSplit split : {TextSplit::line, TextSplit::blank_line, TextSplit::document}) {
    Texts expected = documents({path}, {.split = split});
    for (int64_t piece : {16, 17, 31, 64, 100, 1000}) {
      EXPECT_EQ(documents({path}, {.split = split, .piece_bytes = piece}), expected)
          << "split " << static_cast<int>(split) << ", pieces of " << piece;
    }
  }
}

TEST(TextReader, PiecesEndAtLineBreaksAndNeverInsideACharacter) {
  Scratch scratch;
  TextReader lines({scratch.file("a.txt", std::string("0123456789\n0123456789\n0123"))},
                   {.split = TextSplit::document, .piece_bytes = 16});
  Document document;
  ASSERT_TRUE(lines.next(document));
  EXPECT_EQ(document.text, "0123456789\n");
  EXPECT_TRUE(document.begins);
  EXPECT_FALSE(document.ends);

  std::string euros;
  for (int i = 0; i < 20; ++i) {
    euros += "\xE2\x82\xAC";
  }
  TextReader characters({scratch.file("b.txt", euros)},
                        {.split = TextSplit::document, .piece_bytes = 16});
  ASSERT_TRUE(characters.next(document));
  EXPECT_EQ(document.text.size(), 15u);
}

TEST(TextReader, AByteOrderMarkIsDropped) {
  Scratch scratch;
  EXPECT_EQ(documents({scratch.file("a.txt", "\xEF\xBB\xBFhello\n")}), (Texts{"hello"}));
  EXPECT_EQ(documents({scratch.file("a.jsonl", "\xEF\xBB\xBF{\"text\": \"hello\"}\n")}),
            (Texts{"hello"}));
}

TEST(TextReader, EachJsonShapeIsRecognisedByItsKeys) {
  Scratch scratch;
  const std::vector<std::pair<std::string, std::string>> kRows = {
      {R"({"text": "plain \u00e9 \ud83d\ude00"})", "plain \xC3\xA9 \xF0\x9F\x98\x80"},
      {R"({"id": 7, "content": "c"})", "c"},
      {R"({"prompt": "p", "response": "r"})", "p\nr"},
      {R"({"prompt": "p", "completion": "r"})", "p\nr"},
      {R"({"instruction": "i", "input": "", "output": "o"})", "i\no"},
      {R"({"instruction": "i", "input": "x", "output": "o"})", "i\nx\no"},
      {R"({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]})",
       "user: q\nassistant: a"},
      {R"({"messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "a"}]})",
       "system: s\nassistant: a"},
      {R"({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]})",
       "assistant: ab"},
      {R"({"conversation_id": "1", "conversation": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]})",
       "user: q\nassistant: a"},
  };
  std::string all;
  Texts expected;
  for (const auto& [row, text] : kRows) {
    EXPECT_EQ(documents({scratch.file("one.jsonl", row)}), (Texts{text})) << row;
    all += row + "\n\n";
    expected.push_back(text);
  }
  EXPECT_EQ(documents({scratch.file("all.jsonl", all)}), expected);
}

TEST(TextReader, AJsonArrayIsReadElementByElement) {
  Scratch scratch;
  std::string path = scratch.file(
      "a.json", " [ {\"text\": \"a, ]}\\\"\"} ,\n{\"text\": \"b\", \"more\": [1, {\"x\": 2}]}]\n");
  EXPECT_EQ(documents({path}), (Texts{"a, ]}\"", "b"}));
  EXPECT_EQ(documents({scratch.file("empty.json", "[]")}), Texts{});
  expect_error(Exit::bad_input, "the file ends inside element 1",
               [&] { documents({scratch.file("b.json", "[{\"text\": \"a\"")}); });
  expect_error(Exit::bad_input, "not closed after element 1",
               [&] { documents({scratch.file("c.json", "[{\"text\": \"a\"},")}); });
  expect_error(Exit::bad_input, "element 2: no \"text\" field (has: x)",
               [&] { documents({scratch.file("d.json", "[{\"text\": \"a\"}, {\"x\": 1}]")}); });
}

TEST(TextReader, AFileWithoutAKnownNameIsJsonIfItsFirstLineIs) {
  Scratch scratch;
  EXPECT_EQ(documents({scratch.file("rows", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n")}),
            (Texts{"a", "b"}));
  EXPECT_EQ(documents({scratch.file("code", "{\n  x\n}\n")}), (Texts{"{", "  x", "}"}));
  EXPECT_EQ(documents({scratch.file("a.txt", "{\"text\": \"a\"}\n")}),
            (Texts{"{\"text\": \"a\"}"}));
}

TEST(TextReader, AFieldGivenByNameWins) {
  Scratch scratch;
  EXPECT_EQ(
      documents({scratch.file("a.jsonl", R"({"text": "no", "body": "yes"})")}, {.field = "body"}),
      (Texts{"yes"}));
}

TEST(TextReader, ZstdIsDecodedByItsFirstBytesAlsoInSeveralFrames) {
  Scratch scratch;
  std::string text;
  for (int i = 0; i < 50000; ++i) {
    text += "line " + std::to_string(i) + "\n";
  }
  Texts lines = documents({scratch.file("a.txt", text)});
  EXPECT_EQ(lines.size(), 50000u);
  EXPECT_EQ(documents({scratch.file("a.txt.zst", zstd_of(text))}), lines);
  EXPECT_EQ(documents({scratch.file("b.txt",
                                    zstd_of(text.substr(0, 1000)) + zstd_of(text.substr(1000)))}),
            lines);
  EXPECT_EQ(documents({scratch.file("a.jsonl.zst", zstd_of("{\"text\": \"x\"}\n"))}), (Texts{"x"}));
  EXPECT_EQ(
      count_text_bytes({(scratch.path / "a.txt.zst").string(), (scratch.path / "a.txt").string()}),
      static_cast<int64_t>(2 * text.size()));
}

TEST(TextReader, DamagedZstdIsRefusedByName) {
  Scratch scratch;
  std::string packed =
      zstd_of(std::string(100000, 'x') + "some words that do not repeat 0123456789");
  expect_error(Exit::bad_input, "truncated zstd data",
               [&] { documents({scratch.file("t.zst", packed.substr(0, packed.size() - 3))}); });
  std::string flipped = packed;
  flipped[6] = static_cast<char>(flipped[6] ^ 0x7f);
  expect_error(Exit::bad_input, "f.zst", [&] { documents({scratch.file("f.zst", flipped)}); });
  std::string bomb = zstd_of(std::string(size_t{400} << 20, 'x'), 19);
  expect_error(Exit::bad_input, "4096-fold", [&] { documents({scratch.file("b.zst", bomb)}); });
}

TEST(TextReader, BadRowsAreCountedWhenTheyMayBeSkipped) {
  Scratch scratch;
  std::string path = scratch.file(
      "a.jsonl", "{\"text\": \"a\"}\n{\"text\": \n{\"title\": 1}\n[1]\n{\"text\": \"b\"}\n");
  TextReader reader({path}, {.skip_bad = true});
  Document document;
  Texts texts;
  while (reader.next(document)) {
    texts.push_back(document.text);
  }
  EXPECT_EQ(texts, (Texts{"a", "b"}));
  EXPECT_EQ(reader.skipped_rows(), 3);
  EXPECT_NE(reader.first_bad_row().find("a.jsonl:2: invalid JSON"), std::string::npos);
}

struct BadInput {
  const char* name;
  std::string content;
  const char* message;
  TextReaderOptions options = {};
};

TEST(TextReader, BadInputsGiveTheirMessages) {
  const std::vector<BadInput> kTable = {
      {"a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"a\" \"b\"}\n",
       "a.jsonl:2: invalid JSON at column 14"},
      {"a.jsonl", "{\"text\": \"a\"}\n\n{\"title\": \"x\", \"body\": \"y\"}\n",
       "a.jsonl:3: no \"text\" field (has: title, body)"},
      {"a.jsonl", "{}", "a.jsonl:1: no \"text\" field (has: nothing)"},
      {"a.jsonl", "{\"text\": 5}", "a.jsonl:1: \"text\" must be a string, it is a number"},
      {"a.jsonl", "17", "a.jsonl:1: a row must be a JSON object, this is a number"},
      {"a.jsonl", "{\"text\": \"\xff\"}", "a.jsonl:1: invalid UTF-8 at byte 10"},
      {"a.jsonl", "{\"text\": \"a\", \"text\": \"b\"}", "a.jsonl:1: key 'text' appears twice"},
      {"a.jsonl", "{\"text\": " + std::string(100, '[') + std::string(100, ']') + "}",
       "nesting deeper than 64"},
      {"a.jsonl", R"({"messages": [{"role": "user", "content": "q"}]})",
       "a.jsonl:1: no assistant message to learn from"},
      {"a.jsonl", R"({"conversations": [{"from": "human", "value": "q"}]})",
       "a.jsonl:1: no assistant message to learn from"},
      {"a.jsonl", R"({"messages": [{"content": "q"}]})",
       "message 0 needs \"role\" and \"content\""},
      {"a.jsonl", R"({"messages": "hello"})",
       "\"messages\" must be a list of messages, it is a string"},
      {"a.jsonl", R"({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]})",
       "message 0 has content that is not text"},
      {"a.jsonl", R"({"prompt": "p"})", "no \"response\" field (has: prompt)"},
      {"a.jsonl",
       R"({"text": "t"})",
       "no \"instruction\" field (has: text)",
       {.format = TextFormat::alpaca}},
      {"a.jsonl",
       R"({"text": "t"})",
       "no \"conversation\" field (has: text)",
       {.format = TextFormat::lmsys}},
      {"a.jsonl", R"({"text": "t"})", "no \"body\" field (has: text)", {.field = "body"}},
      {"a.txt", std::string(40213, 'a') + "\xff", "a.txt: invalid UTF-8 at byte 40213"},
      {"a.txt", std::string("good\n\xC3\x28\n"), "a.txt: invalid UTF-8 at byte 5"},
      {"a.txt", std::string("\xFF\xFEh\0i\0", 6), "a.txt: invalid UTF-8 at byte 0"},
      {"x.parquet", "PAR1....", "parquet is not read directly"},
      {"x.arrow", std::string("ARROW1\0\0", 8), "arrow is not read directly"},
      {"x.txt.gz", "\x1f\x8b\x08", "gzip is not read directly"},
  };
  for (const BadInput& row : kTable) {
    Scratch scratch;
    expect_error(Exit::bad_input, row.message,
                 [&] { documents({scratch.file(row.name, row.content)}, row.options); });
  }
}

TEST(TextReader, InvalidUtf8IsTakenWhereItIsAllowed) {
  Scratch scratch;
  EXPECT_EQ(documents({scratch.file("a.txt", "a\xff\n")}, {.allow_invalid_utf8 = true}),
            (Texts{"a\xff"}));
}

TEST(TextReader, WhatIsNotAFileIsRefusedBeforeAnythingIsRead) {
  Scratch scratch;
  std::string good = scratch.file("good.txt", "text\n");
  std::string pipe = (scratch.path / "pipe").string();
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  expect_error(Exit::bad_input, "is a directory", [&] {
    TextReader({good, scratch.path.string()}, {});
  });
  expect_error(Exit::bad_input, "is not a regular file", [&] { TextReader({good, pipe}, {}); });
  expect_error(Exit::bad_input, "No such file or directory", [&] {
    TextReader({good, good + "x"}, {});
  });
  expect_error(Exit::usage, "no input file given", [&] { TextReader({}, {}); });
  expect_error(Exit::usage, "standard input (-) is given 2 times", [&] {
    TextReader({"-", "-"}, {});
  });
}

TEST(TextReader, AnEmptyFileHasNoDocuments) {
  Scratch scratch;
  for (const char* name : {"a.txt", "a.jsonl", "a"}) {
    EXPECT_EQ(documents({scratch.file(name, "")}), Texts{}) << name;
  }
}

}  // namespace
}  // namespace llm
