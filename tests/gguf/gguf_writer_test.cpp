// GGUF files written here, read back.
#include "gguf/gguf_writer.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

GgufMetadata some_metadata() {
  GgufMetadata metadata;
  metadata.text("general.architecture", "llama");
  metadata.uint32("llama.block_count", 2);
  metadata.float32("llama.rope.freq_base", 5e5f);
  metadata.boolean("tokenizer.ggml.add_bos_token", true);
  metadata.texts("tokenizer.ggml.tokens", std::vector<std::string>{"", "a", "▁b"});
  metadata.float32s("tokenizer.ggml.scores", std::vector<float>{0, -1, -2});
  metadata.int32s("tokenizer.ggml.token_type", std::vector<int32_t>{3, 1, 1});
  return metadata;
}

const std::vector<GgufTensorPlan> kPlans = {
    {"a", &block_format(GgmlType::f32), {2, 3}},
    {"b", &block_format(GgmlType::q8_0), {2, 64}},
    {"c", &block_format(GgmlType::bf16), {5}},
};

void give_numbers(size_t tensor, const GgufSink& sink) {
  const GgufTensorPlan& plan = kPlans[tensor];
  std::vector<float> values(tensor == 0 ? 6 : tensor == 1 ? 128 : 5);
  std::iota(values.begin(), values.end(), -3.f);
  std::vector<std::byte> bytes(plan.bytes());
  quantize(*plan.format, values, bytes);
  sink(std::span(bytes).first(7));
  sink(std::span(bytes).subspan(7));
}

TEST(GgufWriter, WhatIsWrittenIsRead) {
  TemporaryFolder folder;
  write_gguf(folder / "x.gguf", some_metadata(), kPlans, give_numbers);
  const auto file = Gguf::open(folder / "x.gguf");
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->text("general.architecture"), "llama");
  EXPECT_EQ(file->integer("llama.block_count", 1, 9), 2);
  EXPECT_EQ(file->number("llama.rope.freq_base"), 5e5);
  EXPECT_TRUE(file->flag("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(file->texts("tokenizer.ggml.tokens"), (std::vector<std::string_view>{"", "a", "▁b"}));
  EXPECT_EQ(file->numbers("tokenizer.ggml.scores"), (std::vector<float>{0, -1, -2}));
  EXPECT_EQ(file->integers("tokenizer.ggml.token_type"), (std::vector<int64_t>{3, 1, 1}));
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->find_tensor("b")->shape, (std::vector<int64_t>{2, 64}));
  std::vector<float> values(5);
  dequantize(*file->find_tensor("c")->format, file->find_tensor("c")->bytes, values);
  EXPECT_EQ(values, (std::vector<float>{-3, -2, -1, 0, 1}));
}

TEST(GgufWriter, CopiesValuesOfEveryType) {
  TemporaryFolder folder;
  const auto original = Gguf::open(LLM_SOURCE_DIR "/tests/gguf/files/metadata.gguf");
  GgufMetadata metadata;
  for (const GgufEntry& entry : original->entries()) {
    if (entry.key != "general.alignment") {
      metadata.copy(entry.key, entry.value);
    }
  }
  write_gguf(folder / "x.gguf", metadata, {}, {});
  const auto copy = Gguf::open(folder / "x.gguf");
  EXPECT_EQ(copy->entries().size() + 1, original->entries().size());
  for (const GgufEntry& entry : copy->entries()) {
    const GgufValue& was = *original->find(entry.key);
    EXPECT_EQ(entry.value.type, was.type);
    EXPECT_EQ(entry.value.count, was.count);
    EXPECT_TRUE(std::equal(was.bytes.begin(), was.bytes.end(), entry.value.bytes.begin(),
                           entry.value.bytes.end()))
        << entry.key;
  }
}

TEST(GgufWriter, SameInputSameBytes) {
  TemporaryFolder folder;
  write_gguf(folder / "x.gguf", some_metadata(), kPlans, give_numbers);
  write_gguf(folder / "y.gguf", some_metadata(), kPlans, give_numbers);
  EXPECT_EQ(folder.read("x.gguf"), folder.read("y.gguf"));
  EXPECT_EQ(folder.read("x.gguf").size() % 32, 0u);
}

TEST(GgufWriter, AFailureLeavesTheOldFile) {
  TemporaryFolder folder;
  folder.write("x.gguf", "old");
  EXPECT_THROW(write_gguf(folder / "x.gguf", some_metadata(), kPlans,
                          [](size_t tensor, const GgufSink& sink) {
                            if (tensor == 1) fail(Exit::bad_input, "no more");
                            give_numbers(tensor, sink);
                          }),
               Error);
  EXPECT_EQ(folder.read("x.gguf"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 1);
}

TEST(GgufWriter, RefusesWhatTheFormatCannotHold) {
  TemporaryFolder folder;
  const auto refused = [&](const GgufTensorPlan& plan, const std::string& message) {
    expect_error([&] { write_gguf(folder / "x.gguf", {}, {plan}, [](size_t, const GgufSink&) {}); },
                 Exit::internal, message);
  };
  const BlockFormat* f32 = &block_format(GgmlType::f32);
  refused({"", f32, {1}}, "GGUF cannot hold the tensor ''");
  refused({std::string(64, 'n'), f32, {1}},
          "GGUF cannot hold the tensor '" + std::string(64, 'n') + "'");
  refused({"a", &block_format(GgmlType::q4_0), {33}}, "GGUF cannot hold the tensor 'a'");
  refused({"a", f32, {3}}, "GGUF tensor 'a': 0 bytes given, 12 announced");
  GgufMetadata metadata;
  metadata.uint32("a", 1);
  expect_error([&] { metadata.text("a", "x"); }, Exit::internal,
               "GGUF cannot hold the key 'a' here");
}

}  // namespace
}  // namespace llm
