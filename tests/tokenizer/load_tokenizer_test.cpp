#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/random.h"
#include "base/sha256.h"
#include "tests/tokenizer/model_builder.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

class TokenizerFile : public testing::Test {
 protected:
  TokenizerFile()
      : folder_(fs::temp_directory_path() / fmt::format("tokenizer-file-{}", getpid())) {
    fs::create_directories(folder_);
  }
  ~TokenizerFile() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, std::string_view content) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }
  /// The message with the path written as x.
  std::string refusal(const fs::path& path) {
    try {
      load_tokenizer(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::bad_input);
      hint_ = error.hint();
      std::string message = error.message();
      const size_t at = message.find(path.string());
      return at == std::string::npos ? message : message.replace(at, path.string().size(), "x");
    }
    return "accepted";
  }
  std::string refusal_of(std::string_view content) { return refusal(write("x.model", content)); }

  fs::path folder_;
  std::string hint_;
};

TEST_F(TokenizerFile, MissingFilesAreNamed) {
  EXPECT_EQ(refusal(folder_ / "none.model"),
            "cannot open tokenizer 'x': No such file or directory");
}

TEST_F(TokenizerFile, EmptyFilesAreNamed) {
  EXPECT_EQ(refusal_of(""), "tokenizer 'x' is empty (0 bytes)");
}

TEST_F(TokenizerFile, TruncatedModelsSayWhere) {
  const std::string model = test::small_bpe_model();
  EXPECT_EQ(refusal_of(model.substr(0, 100)),
            "'x' is damaged: not a complete SentencePiece model (stopped at byte 95)");
}

TEST_F(TokenizerFile, RandomBytesAreNoTokenizer) {
  std::string bytes(4096, '\0');
  Random random(1);
  for (char& byte : bytes) byte = static_cast<char>(random.below(256));
  bytes[0] = '\x93';
  EXPECT_EQ(refusal_of(bytes), "'x' is not a SentencePiece model or tokenizer.json");
  EXPECT_EQ(refusal_of("Call me Ishmael. Some years ago\nnever mind\n"),
            "'x' is not a SentencePiece model or tokenizer.json");
}

TEST_F(TokenizerFile, DamagedTiktokenTextNamesTheLine) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += i == 16 ? "IQ==\n" : fmt::format("IQ== {}\n", i);
  EXPECT_EQ(refusal_of(text), "'x' line 17: not a base64 token and a rank");
}

TEST_F(TokenizerFile, GitLfsPointersAreRecognised) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') +
      "\nsize 4241003\n";
  EXPECT_EQ(refusal_of(pointer),
            fmt::format("'x' is a Git LFS pointer ({} bytes), not the file", pointer.size()));
  EXPECT_EQ(hint_, "git lfs pull");
}

TEST_F(TokenizerFile, HtmlPagesAreRecognised) {
  EXPECT_EQ(refusal_of("<!DOCTYPE html>\n<html><body>404</body></html>"),
            "'x' looks like an HTML page; the download failed");
  EXPECT_EQ(refusal_of("\xEF\xBB\xBF \n<HTML>"),
            "'x' looks like an HTML page; the download failed");
}

TEST_F(TokenizerFile, FoldersAreSearched) {
  EXPECT_EQ(refusal(folder_), "no tokenizer in 'x' (neither tokenizer.model nor tokenizer.json)");
  write("run/tokenizer.model", test::small_bpe_model());
  EXPECT_EQ(load_tokenizer(folder_ / "run")->vocab_size(), 268);
}

TEST_F(TokenizerFile, OnlyRegularFilesAreOpened) {
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(refusal(pipe), "tokenizer 'x' is not a regular file");
}

TEST_F(TokenizerFile, AHugeFileIsNotReadIntoMemory) {
  const fs::path path = write("x.model", "abc");
  fs::resize_file(path, uint64_t{1} << 36);  // sparse
  EXPECT_EQ(refusal(path), "'x' is not a SentencePiece model or tokenizer.json");
}

TEST_F(TokenizerFile, IdentityIsTheHashOfTheFile) {
  const std::string model = test::small_bpe_model();
  const auto tokenizer = load_tokenizer(write("x.model", model));
  EXPECT_EQ(tokenizer->sha256(), sha256_hex(std::string_view(model)));
  EXPECT_EQ(tokenizer->file_bytes(), model);
  EXPECT_EQ(tokenizer->file_name(), "tokenizer.model");
}

TEST(TokenizerCheck, VocabularyMustFitTheEmbedding) {
  const auto tokenizer = load_tokenizer_bytes(test::small_bpe_model(), "small");
  check_vocabulary(*tokenizer, 268);
  check_vocabulary(*tokenizer, 384);  // padded
  for (const int64_t rows : {267, 396, 32000}) {
    try {
      check_vocabulary(*tokenizer, rows);
      FAIL() << rows;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::bad_input);
      EXPECT_EQ(error.message(),
                fmt::format("tokenizer has 268 pieces, checkpoint embedding has {} rows", rows));
    }
  }
}

TEST(TokenizerCheck, DatasetsOfAnotherTokenizerAreRefused) {
  const auto tokenizer = load_tokenizer_bytes(test::small_bpe_model(), "small");
  check_dataset_tokenizer(*tokenizer, tokenizer->sha256());
  try {
    check_dataset_tokenizer(*tokenizer, std::string(64, 'a'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::bad_input);
    EXPECT_EQ(error.message(),
              "dataset was made with another tokenizer (sha256 aaaaaaaa…, this is " +
                  tokenizer->sha256().substr(0, 8) + "…)");
  }
}

}  // namespace
}  // namespace llm
