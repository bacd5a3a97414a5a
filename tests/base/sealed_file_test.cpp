#include "base/sealed_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/hex.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kSegment = 32;
constexpr size_t kHeader = 64, kWhole = kSegment + 16;  // bytes in the file

EncryptionKey key_from(int first) {
  std::array<std::byte, EncryptionKey::kBytes> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(first + i);
  return EncryptionKey(bytes);
}

const EncryptionKey kKey = key_from(0);

std::string text_of(size_t size) {
  std::string text(size, ' ');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 26);
  return text;
}

/// Written in pieces, of which none has the size of a segment.
fs::path seal(const fs::path& path, std::string_view plain, uint32_t segment_bytes = kSegment,
              size_t piece = 7) {
  OutputFile file = OutputFile::create(path);
  SealedWriter writer(file, kKey, segment_bytes);
  for (size_t at = 0; at < plain.size(); at += piece) {
    const std::string_view part = plain.substr(at, piece);
    writer.write(std::as_bytes(std::span(part.data(), part.size())));
  }
  writer.finish();
  file.close();
  return path;
}

class SealedFile : public testing::Test {
 protected:
  /// A sealed file of 100 bytes, four segments, changed.
  std::string sealed() { return read_file(seal(folder_ / "sealed", text_of(100))); }
  void expect_refused(const std::string& bytes, const std::string& message) {
    const fs::path path = folder_.write("x", bytes);
    expect_error([&] { open_file(path, kKey); }, Exit::bad_input,
                 "'" + path.string() + "' " + message);
  }
  static std::string segment(const std::string& file, size_t index) {
    return file.substr(kHeader + index * kWhole, kWhole);
  }

  TemporaryFolder folder_;
};

constexpr const char* kWrongKey =
    "cannot be opened with this key (wrong key, or the file was changed)";

std::string damaged(size_t segment, size_t segments) {
  return fmt::format("is damaged: segment {} of {} was changed, or the file's length was", segment,
                     segments);
}

TEST_F(SealedFile, GivesBackEverySize) {
  for (const size_t size : {0, 1, 31, 32, 33, 63, 64, 65, 320, 1000}) {
    const fs::path path = seal(folder_ / "x", text_of(size));
    EXPECT_EQ(fs::file_size(path), sealed_bytes(size, kSegment)) << size;
    EXPECT_EQ(open_file(path, kKey).text(), text_of(size)) << size;
  }
  const std::string large = text_of(2 * kSegmentBytes + 5);
  const fs::path path = seal(folder_ / "large", large, kSegmentBytes, 300'000);
  EXPECT_EQ(fs::file_size(path), large.size() + 64 + 3 * 16);
  const MappedFile opened = open_file(path, kKey, AccessPattern::sequential);
  opened.release(0, opened.size());  // there is no file to read it from again
  EXPECT_EQ(opened.text(), large);
}

// By another implementation (Python's cryptography), from the layout in sealed_file.h.
TEST_F(SealedFile, OpensWhatTheDescriptionOfTheFormatMakes) {
  constexpr std::string_view kDigits =
      "894c4c4d5345414c0100000008000000404142434445464748494a4b4c4d4e4f9eaeb52d0604"
      "62a4a0be0ab0f262a618a1c9a23c037c55b21a336d893397647074520f9c870e2826339a7ec6"
      "99ce4a52662354146e820100f65d12f9b94e02ab6e2aab3ea3d7b3f22250c04cebb10817acb8"
      "af430a714e4e5540bc0e76a545bf4a9db576";
  std::vector<unsigned char> bytes(kDigits.size() / 2);
  hex_to_bytes(kDigits, bytes);
  const fs::path path = folder_.write("x", {reinterpret_cast<char*>(bytes.data()), bytes.size()});
  EXPECT_EQ(open_file(path, kKey).text(), "twenty bytes of text");
}

TEST_F(SealedFile, LeavesPlainFilesAsTheyAre) {
  const fs::path path = folder_.write("x", "plain");
  EXPECT_EQ(open_file(path, {}).text(), "plain");
  EXPECT_EQ(open_file(path, kKey).text(), "plain");
  EXPECT_FALSE(is_sealed(path));
  EXPECT_FALSE(is_sealed(folder_ / "none"));
  EXPECT_TRUE(is_sealed(seal(folder_ / "y", "")));
}

TEST_F(SealedFile, ShowsNothingOfItsContentAndIsAnotherEveryTime) {
  const std::string plain = std::string(64, 'a') + "secret";
  const std::string first = read_file(seal(folder_ / "x", plain)),
                    second = read_file(seal(folder_ / "x", plain));
  EXPECT_EQ(first.find("secret"), std::string::npos);
  EXPECT_EQ(first.find("aaa"), std::string::npos);
  EXPECT_EQ(first.substr(0, 16), second.substr(0, 16));
  for (size_t at = 16; at < first.size(); at += 16) {
    EXPECT_EQ(second.find(first.substr(at, 16)), std::string::npos) << at;
  }
}

TEST_F(SealedFile, NeedsTheKeyThatItWasSealedWith) {
  const fs::path path = seal(folder_ / "x", "text");
  const std::string name = "'" + path.string() + "' ";
  expect_error([&] { open_file(path, {}); }, Exit::bad_input,
               name + "is encrypted: give --encryption-key-file");
  expect_error([&] { open_file(path, key_from(1)); }, Exit::bad_input, name + kWrongKey);
}

TEST_F(SealedFile, RefusesEveryFlippedBit) {
  const std::string whole = sealed();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const int bit : {1, 0x80}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ bit);
      SCOPED_TRACE(at);
      if (at < 8) {  // no sealed file any more, nor one of safetensors
        EXPECT_EQ(open_file(folder_.write("x", bytes), kKey).text(), bytes);
      } else if (at < 12) {
        expect_error_with([&] { open_file(folder_.write("x", bytes), kKey); }, Exit::bad_input,
                          "of encrypted files is not known (this program reads 1)");
      } else if (at < kHeader) {
        expect_refused(bytes, kWrongKey);
      } else {
        expect_refused(bytes, damaged((at - kHeader) / kWhole + 1, 4));
      }
    }
  }
}

TEST_F(SealedFile, RefusesEveryOtherLength) {
  const std::string whole = sealed();
  for (size_t size = 8; size < whole.size(); ++size) {
    SCOPED_TRACE(size);
    const fs::path path = folder_.write("x", whole.substr(0, size));
    expect_error_with([&] { open_file(path, kKey); }, Exit::bad_input, "is damaged: ");
  }
  expect_refused(whole.substr(0, 40), "is damaged: 40 bytes are no whole header");
  expect_refused(whole.substr(0, kHeader), "is damaged: no encrypted file has 64 bytes");
  for (size_t segments = 1; segments < 4; ++segments) {  // cut between two of them
    expect_refused(whole.substr(0, kHeader + segments * kWhole), damaged(segments, segments));
  }
  expect_refused(whole + "+", damaged(4, 4));
  expect_refused(whole + std::string(kWhole, '+'), damaged(4, 5));
}

TEST_F(SealedFile, RefusesSegmentsInOtherPlaces) {
  const std::string whole = sealed(), head = whole.substr(0, kHeader),
                    end = whole.substr(kHeader + 3 * kWhole);
  const auto part = [&](size_t index) { return segment(whole, index); };
  expect_refused(head + part(1) + part(0) + part(2) + end, damaged(1, 4));
  expect_refused(head + part(0) + part(2) + part(1) + end, damaged(2, 4));
  expect_refused(head + part(1) + part(2) + end, damaged(1, 3));
  expect_refused(head + part(0) + part(2) + end, damaged(2, 3));
  expect_refused(head + part(0) + part(0) + part(1) + part(2) + end, damaged(2, 5));
  expect_refused(whole + end, damaged(4, 4));
  const std::string other = read_file(seal(folder_ / "other", text_of(100)));
  expect_refused(head + segment(other, 0) + part(1) + part(2) + end, damaged(1, 4));
  expect_refused(other.substr(0, kHeader) + whole.substr(kHeader), damaged(1, 4));
}

TEST_F(SealedFile, DoesNotOpenBeforeItIsFinished) {
  const fs::path path = folder_ / "x";
  {
    OutputFile file = OutputFile::create(path);
    SealedWriter writer(file, kKey, kSegment);
    const std::string text = text_of(70);
    writer.write(std::as_bytes(std::span(text)));
  }
  EXPECT_EQ(fs::file_size(path), kHeader + 2 * kWhole);
  expect_error([&] { open_file(path, kKey); }, Exit::bad_input,
               "'" + path.string() + "' " + damaged(2, 2));
}

}  // namespace
}  // namespace llm
