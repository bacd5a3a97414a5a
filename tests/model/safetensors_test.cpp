#include "model/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/file_io.h"
#include "base/random.h"
#include "tests/model/small_models.h"

namespace llm::test {
namespace {

// A file from its parts: header length (correct unless given), header text, data bytes.
std::string safetensors_file(const std::string& header, size_t data_bytes,
                             std::optional<uint64_t> length = {}) {
  const uint64_t stated = length.value_or(header.size());
  std::string file(8, '\0');
  for (size_t i = 0; i < 8; ++i) {
    file[i] = static_cast<char>(stated >> (8 * i) & 0xff);
  }
  return file + header + std::string(data_bytes, '\7');
}

std::string refusal_of(const std::string& file) {
  return error_of([&] {
    parse_safetensors(std::as_bytes(std::span(file.data(), file.size())), "model.safetensors");
  });
}

std::string one_tensor(const std::string& body) { return "{\"a\":{" + body + "}}"; }

struct HostileFile {
  const char* name;
  std::string file, message;
};

std::vector<HostileFile> hostile_files() {
  const std::string f32 = "\"dtype\":\"F32\",", four = "\"shape\":[1],\"data_offsets\":[0,4]";
  std::string deep = "{\"a\":";
  deep += std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}";
  return {
      {"too_small", "12345", "too small (5 bytes)"},
      {"header_over_limit", safetensors_file("{}", 0, 8589934592),
       "header length 8589934592 exceeds 100000000"},
      {"header_length_wraps", safetensors_file("{}", 0, std::numeric_limits<uint64_t>::max()),
       "header length 18446744073709551615 exceeds 100000000"},
      {"header_beyond_file", safetensors_file("{}", 802, 5000),
       "header length 5000 but file has 812 bytes"},
      {"not_utf8", safetensors_file("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xff\":0}", 0),
       "header is not UTF-8 (byte 33)"},
      {"empty_header", safetensors_file("", 0), "header is not a JSON object"},
      {"not_json", safetensors_file("hello", 0), "header is not a JSON object"},
      {"leading_space", safetensors_file(" {}", 0), "header is not a JSON object"},
      {"array", safetensors_file("[]", 0), "header is not a JSON object"},
      {"cut_json", safetensors_file("{\"a\":{\"dtype\"", 0), "header is not a JSON object"},
      {"text_after_json", safetensors_file("{} x", 0), "header is not a JSON object"},
      {"newline_padding", safetensors_file("{}\n", 0), "header is not a JSON object"},
      {"nul_padding", safetensors_file(std::string("{}\0", 3), 0), "header is not a JSON object"},
      {"deep", safetensors_file(deep, 0), "header nesting too deep"},
      {"deep_and_open", safetensors_file(deep.substr(0, 900'000), 0),
       "header is not a JSON object"},
      {"tensor_twice",
       safetensors_file("{\"a\":{" + f32 + four + "},\"a\":{" + f32 + four + "}}", 4),
       "tensor 'a' is listed twice"},
      {"key_twice", safetensors_file(one_tensor(f32 + f32 + four), 4),
       "key 'dtype' is listed twice"},
      {"unknown_dtype", safetensors_file(one_tensor("\"dtype\":\"F128\"," + four), 4),
       "tensor 'a': dtype 'F128' unknown"},
      {"dtype_number", safetensors_file(one_tensor("\"dtype\":4," + four), 4),
       "tensor 'a': dtype 4 unknown"},
      {"negative_offset",
       safetensors_file(one_tensor(f32 + "\"shape\":[1],\"data_offsets\":[-4,0]"), 4),
       "tensor 'a': data_offsets must be two whole numbers"},
      {"float_offset",
       safetensors_file(one_tensor(f32 + "\"shape\":[1],\"data_offsets\":[0,4.0]"), 4),
       "tensor 'a': data_offsets must be two whole numbers"},
      {"offset_over_64_bits",
       safetensors_file(one_tensor(f32 + "\"shape\":[1],\"data_offsets\":[0,18446744073709551620]"),
                        4),
       "tensor 'a': data_offsets must be two whole numbers"},
      {"three_offsets",
       safetensors_file(one_tensor(f32 + "\"shape\":[1],\"data_offsets\":[0,4,8]"), 4),
       "tensor 'a': data_offsets must be two whole numbers"},
      {"text_offsets",
       safetensors_file(one_tensor(f32 + "\"shape\":[1],\"data_offsets\":\"0,4\""), 4),
       "tensor 'a': data_offsets must be two whole numbers"},
      {"reversed", safetensors_file(one_tensor(f32 + "\"shape\":[1],\"data_offsets\":[64,16]"), 64),
       "tensor 'a': offsets [64, 16] are reversed"},
      {"beyond_data",
       safetensors_file(one_tensor(f32 + "\"shape\":[1000],\"data_offsets\":[0,4000]"), 16),
       "tensor 'a' ends at 4000, data has 16 bytes"},
      {"offset_wraps",
       safetensors_file(
           one_tensor(f32 +
                      "\"shape\":[4],\"data_offsets\":[18446744073709551600,18446744073709551615]"),
           16),
       "tensor 'a' ends at 18446744073709551615, data has 16 bytes"},
      {"overlap",
       safetensors_file("{\"a\":{" + f32 + "\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{" + f32 +
                            "\"shape\":[2],\"data_offsets\":[4,12]}}",
                        12),
       "tensors 'a' and 'b' overlap"},
      {"same_place", safetensors_file("{\"a\":{" + f32 + four + "},\"b\":{" + f32 + four + "}}", 4),
       "tensors 'a' and 'b' overlap"},
      {"hole",
       safetensors_file("{\"a\":{" + f32 + "\"shape\":[32],\"data_offsets\":[0,128]},\"b\":{" +
                            f32 + "\"shape\":[1],\"data_offsets\":[256,260]}}",
                        260),
       "bytes 128-256 belong to no tensor"},
      {"hole_in_front",
       safetensors_file(one_tensor(f32 + "\"shape\":[1],\"data_offsets\":[4,8]"), 8),
       "bytes 0-4 belong to no tensor"},
      {"trailing_data", safetensors_file(one_tensor(f32 + four), 16),
       "12 extra bytes after the last tensor"},
      {"data_without_tensors", safetensors_file("{}", 3), "3 extra bytes after the last tensor"},
      {"shape_needs_more",
       safetensors_file(one_tensor(f32 + "\"shape\":[1000,1000],\"data_offsets\":[0,4]"), 4),
       "tensor 'a': shape [1000,1000] F32 needs 4000000 bytes, has 4"},
      {"shape_needs_less",
       safetensors_file(one_tensor(f32 + "\"shape\":[0],\"data_offsets\":[0,4]"), 4),
       "tensor 'a': shape [0] F32 needs 0 bytes, has 4"},
      {"product_wraps_to_four",
       safetensors_file(
           one_tensor(f32 + "\"shape\":[4194305,4194305,211106198978564],\"data_offsets\":[0,4]"),
           4),
       "tensor 'a': shape [4194305,4194305,211106198978564] is too large"},
      {"nine_dimensions",
       safetensors_file(one_tensor(f32 + "\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"),
                        4),
       "tensor 'a': more than 8 dimensions"},
      {"dimension_2_to_63",
       safetensors_file(one_tensor(f32 + "\"shape\":[9223372036854775808],\"data_offsets\":[0,4]"),
                        4),
       "tensor 'a': shape [9223372036854775808] is too large"},
      {"negative_dimension",
       safetensors_file(one_tensor(f32 + "\"shape\":[-1],\"data_offsets\":[0,4]"), 4),
       "tensor 'a': shape must be a list of whole numbers"},
      {"half_byte",
       safetensors_file(one_tensor("\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]"), 1),
       "tensor 'a': shape [3] F4 does not fill whole bytes"},
      {"metadata_number", safetensors_file("{\"__metadata__\":{\"k\":1}}", 0),
       "__metadata__ values must be text"},
      {"metadata_list", safetensors_file("{\"__metadata__\":[]}", 0),
       "__metadata__ values must be text"},
      {"missing_field", safetensors_file(one_tensor(four), 4),
       "tensor 'a': must have dtype, shape and data_offsets, nothing else"},
      {"extra_field", safetensors_file(one_tensor(f32 + four + ",\"x\":1"), 4),
       "tensor 'a': must have dtype, shape and data_offsets, nothing else"},
      {"tensor_is_number", safetensors_file("{\"a\":1}", 0),
       "tensor 'a': must have dtype, shape and data_offsets, nothing else"},
  };
}

TEST(Safetensors, HostileFilesAreRefusedWithTheirRule) {
  for (const HostileFile& row : hostile_files()) {
    EXPECT_EQ(refusal_of(row.file), "3: model.safetensors: " + row.message) << row.name;
  }
}

TEST(Safetensors, EmptyZeroSizedAndScalarTensorsAreAllowed) {
  EXPECT_EQ(refusal_of(safetensors_file("{}", 0)), "");
  EXPECT_EQ(refusal_of(safetensors_file("{}          ", 0)), "") << "spaces may pad the header";
  EXPECT_EQ(refusal_of(safetensors_file(
                "{\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\"z\":{\"dtype\":"
                "\"I64\",\"shape\":[3,0],\"data_offsets\":[4,4]}}",
                4)),
            "");
  EXPECT_EQ(refusal_of(safetensors_file("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807,"
                                        "0],\"data_offsets\":[0,0]}}",
                                        0))
                .substr(0, 44),
            "3: model.safetensors: tensor 'a': shape [922")
      << "a product that overflows on the way to zero is refused";
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "llm-model-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST(Safetensors, WhatIsWrittenReadsBackByteForByte) {
  TemporaryFolder folder;
  Random random(3);
  for (int round = 0; round < 30; ++round) {
    std::vector<SafetensorsSource> tensors;
    std::vector<std::vector<std::byte>> contents(random.below(6));
    for (size_t i = 0; i < contents.size(); ++i) {
      const std::vector<std::pair<std::string, int64_t>> types = {
          {"F32", 4}, {"BF16", 2}, {"U8", 1}, {"I64", 8}};
      const auto& [dtype, size] = types[random.below(4)];
      std::vector<int64_t> shape;
      int64_t count = 1;
      for (uint64_t d = random.below(4); d > 0; --d) {
        shape.push_back(static_cast<int64_t>(random.below(5)));
        count *= shape.back();
      }
      contents[i].resize(static_cast<size_t>(count * size));
      for (std::byte& byte : contents[i]) {
        byte = static_cast<std::byte>(random.below(256));
      }
      tensors.push_back({fmt::format("t\xc3\xa9n\"s{}", i), dtype, shape, contents[i]});
    }
    const auto path = folder.path() / "x.safetensors";
    write_safetensors(path, tensors, {{"round", std::to_string(round)}});
    const std::string file = read_file(path);
    const SafetensorsHeader header =
        parse_safetensors(std::as_bytes(std::span(file.data(), file.size())), "x");
    ASSERT_EQ(header.tensors.size(), tensors.size());
    EXPECT_EQ(header.metadata.at("format"), "pt");
    EXPECT_EQ(header.metadata.at("round"), std::to_string(round));
    EXPECT_EQ(header.data_offset % 64, 0u);
    for (const SafetensorsSource& tensor : tensors) {
      const SafetensorsEntry* entry = header.find(tensor.name);
      ASSERT_NE(entry, nullptr);
      EXPECT_EQ(entry->dtype, tensor.dtype);
      EXPECT_EQ(entry->shape, tensor.shape);
      ASSERT_EQ(entry->end - entry->begin, tensor.bytes.size());
      const auto stored = std::as_bytes(std::span(file))
                              .subspan(header.data_offset + entry->begin, tensor.bytes.size());
      EXPECT_TRUE(std::equal(stored.begin(), stored.end(), tensor.bytes.begin()));
    }
  }
}

TEST(Safetensors, NoMutatedFileReadsOutsideItself) {
  const std::string good = safetensors_file(
      "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\"b\":{\"dtype\":"
      "\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]}}",
      32);
  EXPECT_EQ(refusal_of(good), "");
  Random random(5);
  for (int round = 0; round < 4000; ++round) {
    std::string file = good.substr(0, round % 4 == 0 ? random.below(good.size() + 1) : good.size());
    for (uint64_t edits = random.below(4); edits > 0 && !file.empty(); --edits) {
      file[random.below(file.size())] = static_cast<char>(random.below(256));
    }
    try {
      const SafetensorsHeader header =
          parse_safetensors(std::as_bytes(std::span(file.data(), file.size())), "x");
      uint64_t covered = header.data_offset;
      for (const SafetensorsEntry& entry : header.tensors) {
        covered += entry.end - entry.begin;
      }
      EXPECT_EQ(covered, file.size());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Exit::bad_input);
    }
  }
}

TEST(SafetensorsIndex, ShardNamesMayNotLeaveTheFolder) {
  const auto refusal = [](const std::string& text) {
    return error_of([&] { parse_safetensors_index(text, "model.safetensors.index.json"); });
  };
  for (const std::string name : {"../x", "a/b", "..", "a\\\\b", "", "/etc/passwd"}) {
    expect_contains(refusal("{\"weight_map\":{\"t\":\"" + name + "\"}}"),
                    "3: model.safetensors.index.json: shard name '");
  }
  EXPECT_EQ(refusal("{\"weight_map\":{\"t\":\"../x\"}}"),
            "3: model.safetensors.index.json: shard name '../x' not allowed");
  EXPECT_EQ(refusal("{\"weight_map\":{}}"),
            "3: model.safetensors.index.json: weight_map names no tensor");
  EXPECT_EQ(
      refusal("{\"metadata\":{},\"weight_map\":{\"t\":\"model-00001-of-00002.safetensors\"}}"), "");
  EXPECT_EQ(refusal("{\"weight_map\":{\"t\":3}}").substr(0, 3), "3: ");
  EXPECT_EQ(refusal("{}").substr(0, 3), "3: ");
}

}  // namespace
}  // namespace llm::test
