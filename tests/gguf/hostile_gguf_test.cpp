// Damaged and malicious GGUF files; the names in capitals are those of llama.cpp's own test-gguf.
#include <gtest/gtest.h>

#include <chrono>

#include "gguf/gguf.h"
#include "tests/gguf/gguf_bytes.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

struct HostileFile {
  const char* name;
  std::string file, message;
};

std::string one_key(uint32_t type, const std::string& value) {
  return GgufParts{.keys = {gguf_key("a", type, value)}}.file();
}

std::string one_tensor(const std::string& tensor, uint64_t data_bytes = 64) {
  return GgufParts{.tensors = {tensor}, .data_bytes = data_bytes}.file();
}

std::string two_tensors(uint64_t second_offset, uint64_t data_bytes = 128) {
  return GgufParts{
      .tensors = {gguf_tensor("a", {16}, 0, 0), gguf_tensor("b", {16}, 0, second_offset)},
      .data_bytes = data_bytes}
      .file();
}

constexpr uint64_t kHuge = 0x7FFFFFFFFFFFFFFF;

std::vector<HostileFile> hostile_headers() {
  return {
      {"EMPTY", "", "is empty (0 bytes)"},
      {"BAD_MAGIC", GgufParts{.magic = "FUGG"}.file(), "is not a GGUF file (starts 46 55 47 47)"},
      {"SHORT_MAGIC", "GG", "is not a GGUF file (starts 47 47)"},
      {"HEADER_CUT", std::string("GGUF") + le(3, 4) + le(0, 8),
       "is cut short: it ends in the header (byte 16)"},
      {"BAD_VERSION_0", GgufParts{.version = 0}.file(),
       "GGUF version 0 is not supported (2 and 3 are)"},
      {"BAD_VERSION_1", GgufParts{.version = 1}.file(),
       "GGUF version 1 is not supported (2 and 3 are)"},
      {"BAD_VERSION_FUTURE", GgufParts{.version = 9}.file(),
       "GGUF version 9 is newer than this program (knows 2-3)"},
      {"BIG_ENDIAN", GgufParts{.version = 0x03000000}.file(),
       "is a big-endian GGUF file; little-endian ones are read"},
      {"BAD_N_TENSORS", GgufParts{.stated_tensors = UINT64_MAX - 1}.file(),
       "declares 18446744073709551614 tensors, more than 0 bytes can hold"},
      {"BAD_N_TENSORS_OVERHEAD", GgufParts{.data_bytes = 64, .stated_tensors = 1ull << 40}.file(),
       "declares 1099511627776 tensors, more than 72 bytes can hold"},
      {"BAD_N_KV", GgufParts{.stated_keys = UINT64_MAX - 1}.file(),
       "declares 18446744073709551614 metadata keys, more than 0 bytes can hold"},
      {"N_KV_BEYOND_FILE", GgufParts{.keys = {gguf_key("a", 0, "x")}, .stated_keys = 2}.file(),
       "declares 2 metadata keys, more than 14 bytes can hold"},
  };
}

std::vector<HostileFile> hostile_keys() {
  const std::string long_text(20, 'x');
  return {
      {"BAD_KEY_SIZE", GgufParts{.keys = {le(0, 8) + le(8, 4) + gguf_text("xyz")}}.file(),
       "metadata key 1 of 1 has an empty name"},
      {"KEY_LENGTH_WRAPS", GgufParts{.keys = {le(UINT64_MAX, 8) + long_text}}.file(),
       "metadata key 1 of 1 has a name of 18446744073709551615 bytes (limit 65535)"},
      {"KEY_BEYOND_FILE", GgufParts{.keys = {le(1000, 8) + long_text}}.file(),
       "metadata key 1 of 1 has a name of 1000 bytes, the file has 20 left"},
      {"KEY_NOT_UTF8", GgufParts{.keys = {gguf_key("a\xff", 8, gguf_text("x"))}}.file(),
       "metadata key 1 of 1 has a name that is not UTF-8"},
      {"BAD_TYPE", one_key(13, long_text), "key 'a': value type 13 is unknown"},
      {"BAD_TYPE_HUGE", one_key(0xFFFFFFFF, long_text),
       "key 'a': value type 4294967295 is unknown"},
      {"BAD_ARRAY_TYPE", one_key(9, gguf_array(77, 1, long_text)),
       "key 'a': array element type 77 is unknown"},
      {"NESTED_ARRAY", one_key(9, gguf_array(9, 1, gguf_array(9, 1, long_text))),
       "key 'a': arrays of arrays are not allowed"},
      {"VALUE_CUT", one_key(12, "1234"),
       "key 'a': 1 element of float64 does not fit in the 4 bytes "
       "left"},
      {"ARRAY_EXHAUSTION", one_key(9, gguf_array(4, UINT64_MAX / 4 + 2, long_text)),
       "key 'a': 4611686018427387905 elements of uint32 do not fit in the 20 bytes left"},
      {"STRING_EXHAUSTION", one_key(8, le(UINT64_MAX, 8) + long_text),
       "key 'a' has a string of 18446744073709551615 bytes (limit 9223372036854775807)"},
      {"STRING_BEYOND_FILE", one_key(8, le(21, 8) + long_text),
       "key 'a' has a string of 21 bytes, the file has 20 left"},
      {"STRING_ARRAY_EXHAUSTION", one_key(9, gguf_array(8, 1u << 30, long_text)),
       "key 'a': 1073741824 elements of string do not fit in the 20 bytes left"},
      {"STRING_IN_ARRAY_BEYOND_FILE", one_key(9, gguf_array(8, 2, gguf_text("xy") + le(9, 8))),
       "key 'a' has a string of 9 bytes, the file has 0 left"},
      {"BAD_BOOL", one_key(7, "\x02"), "key 'a': 2 is not a boolean"},
      {"BAD_BOOL_IN_ARRAY", one_key(9, gguf_array(7, 3, std::string("\0\1\xff", 3))),
       "key 'a': 255 is not a boolean"},
      {"DUPLICATE_KEY",
       GgufParts{.keys = {gguf_key("a", 0, "x"), gguf_key("b", 0, "x"), gguf_key("a", 0, "x")}}
           .file(),
       "key 'a' appears twice"},
      {"BAD_ALIGN", GgufParts{.keys = {gguf_key("general.alignment", 4, le(13, 4))}}.file(),
       "general.alignment 13 is not a power of two"},
      {"ALIGN_ZERO", GgufParts{.keys = {gguf_key("general.alignment", 4, le(0, 4))}}.file(),
       "general.alignment 0 is not a power of two"},
      {"ALIGN_OF_WRONG_TYPE",
       GgufParts{.keys = {gguf_key("general.alignment", 8, gguf_text("32"))}}.file(),
       "general.alignment must be uint32, is string"},
      {"ALIGN_ARRAY",
       GgufParts{.keys = {gguf_key("general.alignment", 9, gguf_array(4, 1, le(32, 4)))}}.file(),
       "general.alignment must be uint32, is array of uint32"},
  };
}

std::vector<HostileFile> hostile_tensors() {
  const std::string good = gguf_tensor("a", {16}, 0, 0);
  return {
      {"BAD_NAME_SIZE", one_tensor(gguf_tensor(std::string(65, 'n'), {16}, 0, 0)),
       "tensor 1 of 1 has a name of 65 bytes (limit 64)"},
      {"EMPTY_NAME", one_tensor(gguf_tensor("", {16}, 0, 0)), "tensor 1 of 1 has an empty name"},
      {"DUPLICATE_NAME",
       GgufParts{.tensors = {good, gguf_tensor("a", {16}, 0, 64)}, .data_bytes = 128}.file(),
       "tensor 'a' is listed twice"},
      {"BAD_N_DIMS", one_tensor(gguf_tensor("a", {1, 1, 1, 1, 16}, 0, 0)),
       "tensor 'a': 5 dimensions (at most 4)"},
      {"N_DIMS_HUGE", one_tensor(gguf_text("a") + le(0xFFFFFFFF, 4) + std::string(40, 'x')),
       "tensor 'a': 4294967295 dimensions (at most 4)"},
      {"BAD_SHAPE", one_tensor(gguf_tensor("a", {16, static_cast<uint64_t>(-1)}, 0, 0)),
       "tensor 'a': dimension 2 is -1"},
      {"ZERO_DIM", one_tensor(gguf_tensor("a", {0, 16}, 0, 0)), "tensor 'a': dimension 1 is 0"},
      {"NE_TOO_BIG", one_tensor(gguf_tensor("a", {kHuge, 2}, 0, 0)),
       "tensor 'a': shape [2,9223372036854775807] is too large"},
      {"NE_PRODUCT_WRAPS", one_tensor(gguf_tensor("a", {4194305, 4194305, 211106198978564}, 0, 0)),
       "tensor 'a': shape [211106198978564,4194305,4194305] is too large"},
      {"NBYTES_OVERFLOW", one_tensor(gguf_tensor("a", {kHuge}, 0, 0)),
       "tensor 'a': shape [9223372036854775807] is too large"},
      {"MEM_SIZE_OVERFLOW",
       GgufParts{.tensors = {gguf_tensor("a", {1ull << 60}, 0, 0),
                             gguf_tensor("b", {1ull << 60}, 0, 1ull << 62),
                             gguf_tensor("c", {1ull << 60}, 0, 1ull << 63),
                             gguf_tensor("d", {1ull << 60}, 0, 3ull << 62)},
                 .data_bytes = 64}
           .file(),
       "tensor 'a' needs 4611686018427387904 bytes at 0, data has 64 bytes"},
      {"BAD_TENSOR_TYPE", one_tensor(gguf_tensor("a", {16}, 43, 0)),
       "tensor 'a': format 43 is unknown"},
      {"WITHDRAWN_TENSOR_TYPE", one_tensor(gguf_tensor("a", {32}, 4, 0)),
       "tensor 'a': format 4 is unknown"},
      {"ROW_NOT_BLOCKS", one_tensor(gguf_tensor("a", {33}, 8, 0)),
       "tensor 'a': rows of 33 numbers do not divide into blocks of 32 (Q8_0)"},
      {"BAD_OFFSET", one_tensor(gguf_tensor("a", {16}, 0, 33)),
       "tensor 'a': offset 33 is not a multiple of the alignment 32"},
      {"OFFSET_WRAPS", one_tensor(gguf_tensor("a", {16}, 0, static_cast<uint64_t>(-32))),
       "tensor 'a' needs 64 bytes at 18446744073709551584, data has 64 bytes"},
      {"NOT_ENOUGH_DATA", one_tensor(good, 63),
       "tensor 'a' needs 64 bytes at 0, data has 63 bytes"},
      {"NO_DATA", one_tensor(good, 0), "tensor 'a' begins at 64, the file has 57 bytes"},
      {"TENSOR_CUT", GgufParts{.tensors = {good.substr(0, 30)}, .stated_tensors = 1}.file(),
       "is cut short: it ends in tensor 'a' (byte 54)"},
      {"OVERLAP", two_tensors(32), "tensors 'a' and 'b' overlap"},
      {"SAME_PLACE", two_tensors(0), "tensors 'a' and 'b' overlap"},
      {"HOLE", two_tensors(128, 192), "bytes 64-128 belong to no tensor"},
      {"DOES_NOT_BEGIN_AT_ZERO", one_tensor(gguf_tensor("a", {16}, 0, 32), 96),
       "bytes 0-32 belong to no tensor"},
      {"TRAILING_DATA", one_tensor(good, 96), "32 extra bytes after the last tensor"},
      {"DATA_WITHOUT_TENSORS", GgufParts{.data_bytes = 64}.file(),
       "72 extra bytes after the metadata"},
  };
}

void expect_refusals(const std::vector<HostileFile>& files) {
  for (const HostileFile& hostile : files) {
    SCOPED_TRACE(hostile.name);
    expect_error(
        [&] {
          const Gguf read(std::as_bytes(std::span(hostile.file.data(), hostile.file.size())),
                          "x.gguf");
        },
        Exit::bad_input, "x.gguf: " + hostile.message);
  }
}

TEST(HostileGguf, HeadersAreRefusedByRule) { expect_refusals(hostile_headers()); }
TEST(HostileGguf, KeysAreRefusedByRule) { expect_refusals(hostile_keys()); }
TEST(HostileGguf, TensorsAreRefusedByRule) { expect_refusals(hostile_tensors()); }

TEST(HostileGguf, AGitLfsPointerIsNamed) {
  const std::string file = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
  expect_error(
      [&] { const Gguf read(std::as_bytes(std::span(file.data(), file.size())), "x.gguf"); },
      Exit::bad_input, "'x.gguf' is a Git LFS pointer (64 bytes), not the file", "git lfs pull");
}

TEST(HostileGguf, EveryCutOfAGoodFileIsRefused) {
  const std::string file =
      GgufParts{.keys = {gguf_key("general.alignment", 4, le(32, 4)),
                         gguf_key("names", 9, gguf_array(8, 2, gguf_text("x") + gguf_text("yz")))},
                .tensors = {gguf_tensor("a", {16}, 0, 0), gguf_tensor("b", {32, 2}, 8, 64)},
                .data_bytes = 64 + 68}
          .file();
  const auto read = [&](size_t bytes) {
    const Gguf whole(std::as_bytes(std::span(file.data(), bytes)), "x.gguf");
  };
  EXPECT_NO_THROW(read(file.size()));
  for (size_t bytes = 0; bytes < file.size(); ++bytes) {
    EXPECT_THROW(read(bytes), Error) << bytes;
  }
}

// Alignment padding after the last tensor is part of the format.
TEST(HostileGguf, PaddingAtTheEndIsAllowed) {
  for (const uint64_t bytes : {64u, 65u, 95u}) {
    const std::string file = one_tensor(gguf_tensor("a", {16}, 0, 0), bytes);
    EXPECT_NO_THROW(const Gguf read(std::as_bytes(std::span(file.data(), file.size())), "x.gguf"));
  }
}

// Names that differ only at their ends, a quarter of a million of them: sorted, never compared each
// with each.
TEST(HostileGguf, ManyKeysTakeLittleTime) {
  GgufParts parts;
  for (int i = 0; i < 250'000; ++i) {
    parts.keys.push_back(gguf_key("key." + std::to_string(i), 0, "x"));
  }
  const std::string file = parts.file();
  const auto start = std::chrono::steady_clock::now();
  const Gguf read(std::as_bytes(std::span(file.data(), file.size())), "x.gguf");
  EXPECT_EQ(read.entries().size(), 250'000u);
  EXPECT_NE(read.find("key.249999"), nullptr);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

}  // namespace
}  // namespace llm
