// What the tests of lib/data share: a folder of its own per test, files by content, and claims
// about errors.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <zstd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/token_file.h"

namespace llm {

struct Scratch {
  std::filesystem::path path;
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "llm-data-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string file(const std::string& name, std::string_view content) const {
    std::ofstream out(path / name, std::ios::binary);
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
    return (path / name).string();
  }
};

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::string zstd_of(std::string_view text, int level = 3) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), level));
  return out;
}

/// The exit code and message of the error that `action` must throw.
template <typename Action>
std::pair<Exit, std::string> error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.code(), error.message()};
  }
  return {Exit::ok, "no error"};
}

/// `action` fails with this exit code and a message that holds these words.
template <typename Action>
void expect_error(Exit code, std::string_view words, Action action) {
  auto [got, message] = error_of(action);
  EXPECT_EQ(static_cast<int>(got), static_cast<int>(code)) << message;
  EXPECT_NE(message.find(words), std::string::npos)
      << "'" << message << "' lacks '" << words << "'";
}

inline const std::string kSomeSha256 =
    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

inline void write_sequences(const std::filesystem::path& prefix,
                            const std::vector<std::vector<int32_t>>& sequences) {
  TokenFileWriter writer(prefix, kSomeSha256);
  for (const auto& ids : sequences) {
    writer.append(ids);
  }
  writer.finish();
}

}  // namespace llm
