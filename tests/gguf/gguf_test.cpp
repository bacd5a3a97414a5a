// What a good GGUF file gives.
#include "gguf/gguf.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

std::shared_ptr<const Gguf> metadata_fixture() {
  return Gguf::open(LLM_SOURCE_DIR "/tests/gguf/files/metadata.gguf");
}

TEST(Gguf, ReadsEveryScalarTypeOfAnotherWriter) {
  const auto file = metadata_fixture();
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->text("general.architecture"), "metadata");
  EXPECT_EQ(file->integer("one.uint8", 0, 255), 200);
  EXPECT_EQ(file->integer("one.int8", -128, 127), -100);
  EXPECT_EQ(file->integer("one.uint16", 0, 65535), 60000);
  EXPECT_EQ(file->integer("one.int16", -32768, 32767), -30000);
  EXPECT_EQ(file->integer("one.uint32", 0, UINT32_MAX), 4000000000);
  EXPECT_EQ(file->integer("one.int32", INT32_MIN, INT32_MAX), -2000000000);
  EXPECT_EQ(file->integer("one.int64", INT64_MIN, INT64_MAX), INT64_MIN);
  EXPECT_EQ(file->integer("one.uint64", 0, INT64_MAX), INT64_MAX);  // 2^64 - 1 does not fit
  EXPECT_EQ(file->number("one.float32"), 0.1);  // the shortest decimal of that float
  EXPECT_EQ(file->number("one.float64"), 0.1);
  EXPECT_EQ(file->number("one.int8"), -100.0);
  EXPECT_TRUE(file->flag("one.bool"));
  EXPECT_EQ(file->text("one.string"), "Grüße\n");
}

TEST(Gguf, ReadsArraysOfAnotherWriter) {
  const auto file = metadata_fixture();
  EXPECT_EQ(file->integers("many.uint8"), (std::vector<int64_t>{1, 2, 255}));
  EXPECT_EQ(file->integers("many.int16"), (std::vector<int64_t>{-1, 5}));
  EXPECT_EQ(file->integers("many.uint32"), (std::vector<int64_t>{7}));
  EXPECT_EQ(file->integers("many.int32"), (std::vector<int64_t>{-5, 6, 7}));
  EXPECT_EQ(file->integers("many.int64"), (std::vector<int64_t>{-9, 9}));
  EXPECT_EQ(file->numbers("many.float32"), (std::vector<float>{0.5f, -1.25f}));
  EXPECT_EQ(file->texts("many.string"), (std::vector<std::string_view>{"", "a", "▁b"}));
  EXPECT_EQ(file->find("many.bool")->count, 2u);
  EXPECT_EQ(file->find("many.none"), nullptr);
}

TEST(Gguf, GivesTensorsSlowestDimensionFirst) {
  const auto file = metadata_fixture();
  EXPECT_EQ(file->alignment(), 64u);
  EXPECT_EQ(file->data_offset() % 64, 0u);
  ASSERT_EQ(file->tensors().size(), 3u);
  const GgufTensor* matrix = file->find_tensor("matrix");
  ASSERT_NE(matrix, nullptr);
  EXPECT_EQ(matrix->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(matrix->format->name, "F32");
  EXPECT_EQ(matrix->begin, 64u);
  std::vector<float> values(6);
  dequantize(*matrix->format, matrix->bytes, values);
  EXPECT_EQ(values, (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(file->find_tensor("cube")->shape, (std::vector<int64_t>{2, 3, 4}));
  EXPECT_EQ(file->find_tensor("cube")->bytes.size(), 48u);
}

TEST(Gguf, ReadsVersion2) {
  TemporaryFolder folder;
  const auto original = metadata_fixture();
  std::ifstream in(original->name(), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  bytes[4] = 2;
  const auto file = Gguf::open(folder.write("v2.gguf", bytes));
  EXPECT_EQ(file->version(), 2u);
  EXPECT_EQ(file->integers("many.int32"), (std::vector<int64_t>{-5, 6, 7}));
}

TEST(Gguf, RefusesAValueOfAnotherTypeOrRange) {
  const auto file = metadata_fixture();
  const std::string name = file->name() + ": ";
  const auto refused = [&](auto access, const std::string& message) {
    expect_error([&] { access(); }, Exit::bad_input, name + message);
  };
  refused([&] { (void)file->integer("none", 0, 1); }, "key 'none' is missing");
  refused([&] { (void)file->integer("one.string", 0, 1); },
          "key 'one.string' must be a whole number, is string");
  refused([&] { (void)file->integer("one.float32", 0, 1); },
          "key 'one.float32' must be a whole number, is float32");
  refused([&] { (void)file->integer("one.bool", 0, 1); },
          "key 'one.bool' must be a whole number, is boolean");
  refused([&] { (void)file->integer("one.uint8", 1, 100); },
          "key 'one.uint8' is 200, must be between 1 and 100");
  refused([&] { (void)file->number("one.string"); },
          "key 'one.string' must be a number, is string");
  refused([&] { (void)file->flag("one.uint8"); }, "key 'one.uint8' must be boolean, is uint8");
  refused([&] { (void)file->text("many.string"); },
          "key 'many.string' must be text, is array of string");
  refused([&] { (void)file->texts("one.string"); },
          "key 'one.string' must be an array of string, is string");
  refused([&] { (void)file->numbers("many.int32"); },
          "key 'many.int32' must be an array of numbers, is array of int32");
  refused([&] { (void)file->integers("many.float32"); },
          "key 'many.float32' must be an array of whole numbers, is array of float32");
}

TEST(Gguf, IsRecognisedByNameOrMagic) {
  TemporaryFolder folder;
  EXPECT_TRUE(is_gguf_file(folder / "absent.gguf"));
  EXPECT_TRUE(is_gguf_file(folder.write("model.bin", "GGUF....")));
  EXPECT_FALSE(is_gguf_file(folder.write("other.bin", "GGU")));
  EXPECT_FALSE(is_gguf_file(folder.path()));
}

TEST(Gguf, ShowsNamesThatATerminalCanStand) {
  EXPECT_EQ(shown_name("a\x1b[2Jb\n"), "a?[2Jb?");
  EXPECT_EQ(shown_name(std::string(300, 'x')), std::string(200, 'x') + "...");
  EXPECT_EQ(shown_name("ok\xff"), "ok...");
}

}  // namespace
}  // namespace llm
