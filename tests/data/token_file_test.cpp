#include "data/token_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <numeric>
#include <random>

#include "tests/data/data_test_support.h"
#include "tests/support/resident.h"

namespace llm {
namespace {

const std::vector<std::vector<int32_t>> kSequences = {{10, 11, 12}, {}, {20}, {30, 31}};

template <typename T>
void poke(std::string& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

TEST(TokenFile, TheBytesAreTheDocumentedLayout) {
  Scratch scratch;
  write_sequences(scratch.path / "x", kSequences);
  std::string bin;
  for (int32_t word : {3, 10, 11, 12, 0, 1, 20, 2, 30, 31}) {
    bin.append(reinterpret_cast<const char*>(&word), 4);
  }
  EXPECT_EQ(content_of(scratch.path / "x.bin"), bin);
  std::string index("LLMIDX1\0", 8);
  auto put = [&](auto value) { index.append(reinterpret_cast<const char*>(&value), sizeof value); };
  put(uint32_t{1});
  put(uint32_t{4});
  put(uint64_t{4});
  put(uint64_t{6});
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (unsigned byte = 0; byte < 256; byte += 0x11) {
      put(static_cast<uint8_t>(byte));
    }
  }
  for (uint64_t offset : {0, 16, 20, 28, 40}) {
    put(offset);
  }
  EXPECT_EQ(content_of(scratch.path / "x.index"), index);
}

TEST(TokenFile, ReadsBackWhatWasWritten) {
  Scratch scratch;
  write_sequences(scratch.path / "x", kSequences);
  TokenFile file = TokenFile::open(scratch.path / "x.index");
  EXPECT_EQ(file.prefix(), scratch.path / "x");
  EXPECT_EQ(file.sequences(), 4);
  EXPECT_EQ(file.tokens(), 6);
  EXPECT_EQ(file.tokenizer_sha256(), kSomeSha256);
  for (size_t s = 0; s < kSequences.size(); ++s) {
    auto ids = file.sequence(static_cast<int64_t>(s));
    EXPECT_EQ(std::vector<int32_t>(ids.begin(), ids.end()), kSequences[s]);
  }
  std::vector<int64_t> stream(6);
  file.read(0, stream);
  EXPECT_EQ(stream, (std::vector<int64_t>{10, 11, 12, 20, 30, 31}));
}

TEST(TokenFile, EveryRangeOfTheStreamIsRight) {
  Scratch scratch;
  std::mt19937 random(5);
  std::vector<std::vector<int32_t>> sequences;
  std::vector<int64_t> stream;
  for (int s = 0; s < 3000; ++s) {
    std::vector<int32_t> ids(s % 7 == 0 ? 0 : random() % 9);
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(random() % 50000);
      stream.push_back(id);
    }
    sequences.push_back(ids);
  }
  write_sequences(scratch.path / "x", sequences);
  TokenFile file = TokenFile::open(scratch.path / "x", {"", 50000});
  for (size_t begin = 0; begin < stream.size(); begin += 13) {
    std::vector<int64_t> out(std::min<size_t>(begin % 97, stream.size() - begin));
    file.read(static_cast<int64_t>(begin), out);
    ASSERT_EQ(out, std::vector<int64_t>(stream.begin() + static_cast<long>(begin),
                                        stream.begin() + static_cast<long>(begin + out.size())))
        << begin;
  }
  for (int64_t position = 0; position < file.tokens(); ++position) {
    int64_t s = file.sequence_of(position);
    ASSERT_TRUE(file.first_token(s) <= position && position < file.first_token(s + 1)) << position;
  }
  expect_error(Exit::usage, "tokens", [&] {
    std::vector<int64_t> out(2);
    file.read(file.tokens() - 1, out);
  });
}

TEST(TokenFile, ALongSequenceMayArriveInParts) {
  Scratch scratch;
  {
    TokenFileWriter writer(scratch.path / "x", kSomeSha256);
    std::vector<int32_t> part(100'000, 7);
    for (int i = 0; i < 6;
         ++i) {  // more than the writer holds in memory, so its length word is patched on disk
      writer.add(part);
    }
    writer.end_sequence();
    writer.append(std::vector<int32_t>{1, 2});
    writer.finish();
  }
  TokenFileReport report = verify_token_file(scratch.path / "x");
  EXPECT_EQ(report.sequences, 2);
  EXPECT_EQ(report.tokens, 600'002);
  EXPECT_EQ(report.longest_sequence, 600'000);
  EXPECT_EQ(report.largest_id, 7);
}

TEST(TokenFile, WithoutFinishNothingIsLeft) {
  Scratch scratch;
  { TokenFileWriter writer(scratch.path / "sub" / "x", kSomeSha256); }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path / "sub"));
}

struct Damage {
  const char* message;
  std::function<void(std::string& bin, std::string& index)> apply;
};

TEST(TokenFile, DamageIsRefusedWithItsMessage) {
  const std::vector<Damage> kTable = {
      {"is not an llm token file (starts 7b 22 74 65, looks like JSON)",
       [](auto&, auto& index) {
         index = "{\"text\": \"rows where an index is due\"}" + std::string(80, ' ');
       }},
      {"is not an llm token file (starts 4d 4d 49 44, a Megatron index)",
       [](auto&, auto& index) { index.replace(0, 8, "MMIDIDX\0", 8); }},
      {"is not an llm token file (starts 00 00 00 00)",
       [](auto&, auto& index) { index.assign(200, '\0'); }},
      {"x.index' is empty", [](auto&, auto& index) { index.clear(); }},
      {"truncated: 40 bytes, the header alone has 64",
       [](auto&, auto& index) { index.resize(40); }},
      {"truncated: header says 4 documents, file holds the offsets of 3",
       [](auto&, auto& index) { index.resize(index.size() - 8); }},
      {"truncated: header says 4 documents, file holds the offsets of 0",
       [](auto&, auto& index) { index.resize(64); }},
      {"8 unexpected bytes after the offsets", [](auto&, auto& index) { index += "12345678"; }},
      {"format version 9 is newer than this program (knows 1)",
       [](auto&, auto& index) { poke(index, 8, uint32_t{9}); }},
      {"format version 0 unknown", [](auto&, auto& index) { poke(index, 8, uint32_t{0}); }},
      {"dtype code 77 unknown", [](auto&, auto& index) { poke(index, 12, uint32_t{77}); }},
      {"dataset has 0 tokens", [](auto&, auto& index) { poke(index, 24, uint64_t{0}); }},
      {"truncated: header says 18446744073709551615 documents",
       [](auto&, auto& index) { poke(index, 16, ~uint64_t{0}); }},
      {"truncated: header says 2305843009213693951 documents",
       [](auto&, auto& index) { poke(index, 16, ~uint64_t{0} >> 3); }},
      {"truncated: header says 1000000 tokens, file holds 6",
       [](auto&, auto& index) { poke(index, 24, uint64_t{1000000}); }},
      {"truncated: header says 9223372036854775807 tokens",
       [](auto&, auto& index) { poke(index, 24, ~uint64_t{0}); }},
      {"truncated: header says 6 tokens, file holds 3", [](auto& bin, auto&) { bin.resize(28); }},
      {"truncated: header says 6 tokens, file holds 0", [](auto& bin, auto&) { bin.clear(); }},
      {"4096 unexpected bytes after the tokens",
       [](auto& bin, auto&) { bin += std::string(4096, '\0'); }},
      {"size 7 is not a multiple of 4-byte tokens", [](auto& bin, auto&) { bin.resize(7); }},
      {"document 0 points to byte 4, must be 0",
       [](auto&, auto& index) { poke(index, 64, uint64_t{4}); }},
      {"document 2 points to byte 9000000, file has 40",
       [](auto&, auto& index) { poke(index, 80, uint64_t{9000000}); }},
      {"document 2 points to byte 18446744073709551612, file has 40",
       [](auto&, auto& index) { poke(index, 80, ~uint64_t{3}); }},
      {"document 1 has length -2", [](auto&, auto& index) { poke(index, 80, uint64_t{12}); }},
      {"document 1 has length -1", [](auto&, auto& index) { poke(index, 80, uint64_t{16}); }},
      {"document 2 points to byte 22, not to a 4-byte word",
       [](auto&, auto& index) { poke(index, 80, uint64_t{22}); }},
      {"the last offset is 36, file has 40",
       [](auto&, auto& index) { poke(index, 96, uint64_t{36}); }},
      {"was made with another tokenizer", [](auto&, auto& index) { index[40] = 'x'; }},
  };
  for (const Damage& damage : kTable) {
    Scratch scratch;
    write_sequences(scratch.path / "x", kSequences);
    std::string bin = content_of(scratch.path / "x.bin");
    std::string index = content_of(scratch.path / "x.index");
    damage.apply(bin, index);
    scratch.file("x.bin", bin);
    scratch.file("x.index", index);
    expect_error(Exit::bad_input, damage.message, [&] {
      TokenFile::open(scratch.path / "x", {kSomeSha256, 100});
    });
  }
}

TEST(TokenFile, ChecksumsTellAFlippedBitThatGivesAValidId) {
  Scratch scratch;
  std::vector<int32_t> ids(1'200'000);  // 4.8 MB: five blocks, the first of which is written again
  for (size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<int32_t>(i % 1000);
  }
  write_sequences(scratch.path / "x", {ids});
  const std::string sums = content_of(scratch.path / "x.sum");
  EXPECT_EQ(sums.size(), 24u + 5 * 32);
  EXPECT_EQ(sums.substr(0, 16), std::string("LLMSUMS1\1\0\0\0\0\0\x10\0", 16));
  EXPECT_TRUE(verify_token_file(scratch.path / "x").checksums);
  const std::string good = content_of(scratch.path / "x.bin");
  for (const size_t place : {size_t{4}, size_t{3} << 20, good.size() - 4}) {
    std::string bad = good;
    bad[place] = static_cast<char>(bad[place] ^ 1);
    scratch.file("x.bin", bad);
    const size_t block = place >> 20;
    expect_error(
        Exit::bad_input,
        fmt::format("x.bin': checksum mismatch in block {} (offset {})", block, block << 20),
        [&] { verify_token_file(scratch.path / "x"); });
  }
  scratch.file("x.bin", good);
  const auto refused = [&](const std::string& changed, std::string_view words) {
    scratch.file("x.sum", changed);
    expect_error(Exit::bad_input, words, [&] { verify_token_file(scratch.path / "x"); });
  };
  refused(sums.substr(0, 20), "truncated: 20 bytes, the header alone has 24");
  refused("X" + sums.substr(1), "does not hold the checksums of a dataset");
  refused(sums.substr(0, 8) + '\2' + sums.substr(9), "format version 2");
  refused(sums.substr(0, 16) + '\0' + sums.substr(17), "belongs to another dataset");
  refused(sums.substr(0, sums.size() - 1), "5 blocks take 184");
  std::filesystem::remove(scratch.path / "x.sum");
  EXPECT_FALSE(verify_token_file(scratch.path / "x").checksums);
}

TEST(TokenFile, AMissingHalfIsNamed) {
  Scratch scratch;
  write_sequences(scratch.path / "x", kSequences);
  std::filesystem::remove(scratch.path / "x.bin");
  expect_error(Exit::bad_input, "x.bin' is missing beside 'x.index'",
               [&] { TokenFile::open(scratch.path / "x"); });
  write_sequences(scratch.path / "x", kSequences);
  std::filesystem::remove(scratch.path / "x.index");
  expect_error(Exit::bad_input, "x.index' is missing beside 'x.bin'",
               [&] { TokenFile::open(scratch.path / "x.bin"); });
  expect_error(Exit::bad_input, "cannot open", [&] { TokenFile::open(scratch.path / "y"); });
}

TEST(TokenFile, AnIdOutsideTheVocabularyIsReportedWithItsPlace) {
  Scratch scratch;
  write_sequences(scratch.path / "x", {{1, 2, 3}, {4, 50257, 6}, {7}});
  std::vector<int64_t> out(4);
  TokenFile file = TokenFile::open(scratch.path / "x", {"", 50257});
  expect_error(Exit::bad_input, "token 50257 at index 4 is \u2265 vocab_size 50257",
               [&] { file.read(2, out); });
  expect_error(Exit::bad_input, "token 50257 at index 4 is \u2265 vocab_size 50257", [&] {
    verify_token_file(scratch.path / "x", {"", 50257});
  });
  EXPECT_NO_THROW(verify_token_file(scratch.path / "x", {"", 50258}));
  EXPECT_NO_THROW(TokenFile::open(scratch.path / "x", {"", 50258}).read(2, out));

  write_sequences(scratch.path / "x", {{1, -3, 3, 4}});
  expect_error(Exit::bad_input, "token -3 at index 1 is negative",
               [&] { TokenFile::open(scratch.path / "x").read(0, out); });
  expect_error(Exit::bad_input, "token -3 at index 1 is negative",
               [&] { verify_token_file(scratch.path / "x"); });
}

TEST(TokenFile, VerifyComparesEveryLengthWord) {
  Scratch scratch;
  write_sequences(scratch.path / "x", kSequences);
  std::string bin = content_of(scratch.path / "x.bin");
  poke(bin, 20, int32_t{-4});
  scratch.file("x.bin", bin);
  expect_error(Exit::bad_input, "document 2 has length -4",
               [&] { verify_token_file(scratch.path / "x"); });
  poke(bin, 20, int32_t{9});
  scratch.file("x.bin", bin);
  expect_error(Exit::bad_input, "document 2 has length 9, the index says 1",
               [&] { verify_token_file(scratch.path / "x"); });
}

TEST(TokenFile, ReadingComparesTheLengthsOfTheDocumentsThatBeginThere) {
  Scratch scratch;
  write_sequences(scratch.path / "x", {{1, 2, 3}, {4, 5}, {6, 7}});
  std::string bin = content_of(scratch.path / "x.bin");
  poke(bin, 16, int32_t{3});
  scratch.file("x.bin", bin);
  const TokenFile file = TokenFile::open(scratch.path / "x");
  std::vector<int64_t> out(3);
  EXPECT_NO_THROW(file.read(0, out));
  EXPECT_NO_THROW(file.read(4, out));
  for (const int64_t position : {1, 2, 3}) {
    expect_error(Exit::bad_input, "document 1 has length 3, the index says 2",
                 [&] { file.read(position, out); });
  }
}

// The rule of the dataset format: whatever is damaged, the reader refuses or gives ids of the
// vocabulary.
TEST(TokenFile, RandomDamageIsRefusedOrYieldsOnlyIdsInRange) {
  Scratch scratch;
  std::mt19937_64 random(17);
  std::vector<std::vector<int32_t>> sequences(50);
  for (auto& ids : sequences) {
    ids.resize(random() % 20);
    for (int32_t& id : ids) {
      id = static_cast<int32_t>(random() % 300);
    }
  }
  write_sequences(scratch.path / "good", sequences);
  const std::string bin = content_of(scratch.path / "good.bin");
  const std::string index = content_of(scratch.path / "good.index");
  const std::vector<uint64_t> kNasty = {0,
                                        1,
                                        3,
                                        4,
                                        8,
                                        64,
                                        0x7fffffff,
                                        0x80000000,
                                        0xffffffff,
                                        ~uint64_t{0},
                                        ~uint64_t{0} - 3,
                                        uint64_t{1} << 63,
                                        bin.size()};
  int refused = 0;
  for (int round = 0; round < 800; ++round) {
    std::string b = bin, i = index;
    for (uint64_t changes = 1 + random() % 3; changes > 0; --changes) {
      std::string& victim = random() % 4 == 0 ? b : i;
      size_t width = random() % 3 == 0 ? 1 : random() % 2 == 0 ? 4 : 8;
      size_t place = random() % (victim.size() - width);
      uint64_t value = random() % 2 == 0 ? random() : kNasty[random() % kNasty.size()];
      std::memcpy(victim.data() + place, &value, width);
    }
    if (random() % 10 == 0) {
      (random() % 2 == 0 ? b : i).resize(random() % (bin.size() + 40));
    }
    scratch.file("x.bin", b);
    scratch.file("x.index", i);
    try {
      TokenFile file = TokenFile::open(scratch.path / "x", {"", 300});
      std::vector<int64_t> out(std::min<int64_t>(file.tokens(), 1 << 20));
      file.read(0, out);
      for (int64_t id : out) {
        ASSERT_TRUE(id >= 0 && id < 300);
      }
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), Exit::bad_input) << error.message();
      refused += 1;
    }
  }
  EXPECT_GT(refused, 200);
}

// Documents across every edge of the buffer, and one that is larger than it.
TEST(TokenFile, WritingTakesLittleMemoryHoweverLargeTheFile) {
  Scratch scratch;
  const auto peak_megabytes = [] {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / 1e3;
  };
  const double before = peak_megabytes();
  {
    TokenFileWriter writer(scratch.path / "x", std::string(64, '0'));
    std::vector<int32_t> ids(999);
    for (int64_t document = 0; document < 20'000; ++document) {
      std::iota(ids.begin(), ids.end(), static_cast<int32_t>(document % 50));
      writer.append(ids);
    }
    writer.append(std::vector<int32_t>(300'000, 7));
    writer.finish();
  }
  EXPECT_LT(peak_megabytes(), before + allowed_growth(20)) << "the file has 81 MB";
  const TokenFile file = TokenFile::open(scratch.path / "x", {"", 2000});
  EXPECT_EQ(file.sequences(), 20'001);
  EXPECT_EQ(file.tokens(), 20'000 * 999 + 300'000);
  EXPECT_TRUE(file.verify_checksums());
}

TEST(TokenFile, ASparseFileOfThreeGigabytesOpensInLittleMemory) {
  Scratch scratch;
  const uint64_t kSequenceTokens = 1 << 20, kCount = 768;
  std::string index("LLMIDX1\0", 8);
  auto put = [&](auto value) { index.append(reinterpret_cast<const char*>(&value), sizeof value); };
  put(uint32_t{1});
  put(uint32_t{4});
  put(kCount);
  put(kCount * kSequenceTokens);
  index.append(32, '\0');
  for (uint64_t s = 0; s <= kCount; ++s) {
    put(s * (4 + 4 * kSequenceTokens));
  }
  scratch.file("x.index", index);
  scratch.file("x.bin", "");
  std::filesystem::resize_file(scratch.path / "x.bin", kCount * (4 + 4 * kSequenceTokens));
  const double before = resident_megabytes();
  TokenFile file = TokenFile::open(scratch.path / "x", {"", 10});
  std::vector<int64_t> out(1000, -1);
  file.read(file.tokens() - 1000, out);
  EXPECT_EQ(out, std::vector<int64_t>(1000, 0));
  EXPECT_LT(resident_megabytes(), before + allowed_growth(20));
}

}  // namespace
}  // namespace llm
