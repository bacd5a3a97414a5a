#include "training/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "base/error.h"
#include "tests/training/scratch.h"

namespace llm {
namespace {

TEST(Tensorboard, CrcHasItsPublishedCheckValue) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
}

TEST(Tensorboard, MaskRotatesAndAdds) {
  const uint32_t crc = crc32c("123456789");
  EXPECT_EQ(masked_crc32c("123456789"), ((crc >> 15) | (crc << 17)) + 0xa282ead8u);
}

TEST(Tensorboard, FirstRecordIsTheFileVersionByteForByte) {
  const Scratch scratch;
  const TensorBoardWriter writer(scratch.path, 0);
  const std::string bytes = read_file(writer.path());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const size_t second = 8 + 4 + length + 4;
  ASSERT_EQ(bytes.size(), second + 8 + 4 + 15 + 4);
  EXPECT_EQ(bytes.substr(second + 12 + 9, 6), std::string("\x10\x00\x3a\x02\x08\x01", 6))
      << "after the wall time step 0 and the session's START";
  const std::string event = bytes.substr(12, length);
  EXPECT_EQ(event[0], 0x09) << "field 1, eight bytes: wall time";
  EXPECT_EQ(event.substr(9), std::string("\x1a\x0d") + "brain.Event:2") << "field 3, text";
  uint32_t length_crc = 0, data_crc = 0;
  std::memcpy(&length_crc, bytes.data() + 8, 4);
  std::memcpy(&data_crc, bytes.data() + 12 + length, 4);
  EXPECT_EQ(length_crc, masked_crc32c(bytes.substr(0, 8)));
  EXPECT_EQ(data_crc, masked_crc32c(event));
  const std::string name = writer.path().filename();
  EXPECT_TRUE(name.starts_with("events.out.tfevents."));
  EXPECT_TRUE(name.ends_with("." + std::to_string(getpid()) + ".0"));
}

TEST(Tensorboard, ScalarsComeBackAsWritten) {
  const Scratch scratch;
  TensorBoardWriter writer(scratch.path, 0);
  writer.write_scalars(1, {{"train/loss", 9.5}, {"perf/tokens_per_s", 76000}});
  writer.write_scalars(300, {{"eval/loss", 3.25}});
  const auto scalars = read_tensorboard_scalars(writer.path());
  ASSERT_EQ(scalars.size(), 3u);
  EXPECT_EQ(scalars[0].tag, "train/loss");
  EXPECT_EQ(scalars[0].value, 9.5f);
  EXPECT_EQ(scalars[1].step, 1);
  EXPECT_EQ(scalars[2].step, 300);
  EXPECT_EQ(scalars[2].value, 3.25f);
}

TEST(Tensorboard, AFlippedBitIsFound) {
  const Scratch scratch;
  TensorBoardWriter writer(scratch.path, 0);
  writer.write_scalars(1, {{"train/loss", 9.5}});
  std::string bytes = read_file(writer.path());
  const std::filesystem::path copy = scratch.path / "copy";
  for (const size_t at : {size_t{3}, size_t{9}, size_t{20}, bytes.size() - 20, bytes.size() - 1}) {
    std::string damaged = bytes;
    damaged[at] ^= 4;
    OutputFile::create(copy).write(damaged);
    EXPECT_THROW(read_tensorboard_scalars(copy), Error) << at;
  }
}

TEST(Tensorboard, AContinuedRunGetsAFileOfItsOwnThatRetiresLaterSteps) {
  const Scratch scratch;
  const TensorBoardWriter first(scratch.path, 0);
  const TensorBoardWriter second(scratch.path, 41);
  EXPECT_NE(first.path(), second.path());
  const std::string bytes = read_file(second.path());
  // step 41, then session_log {status: START}.
  EXPECT_NE(bytes.find(std::string("\x10\x29\x3a\x02\x08\x01")), std::string::npos);
}

TEST(Tensorboard, ARunThatBeginsAnewRetiresAllSteps) {
  const Scratch scratch;
  const TensorBoardWriter writer(scratch.path, 0);
  EXPECT_NE(read_file(writer.path()).find(std::string("\x10\0\x3a\x02\x08\x01", 6)),
            std::string::npos);
  EXPECT_TRUE(read_tensorboard_scalars(writer.path()).empty());
}

}  // namespace
}  // namespace llm
