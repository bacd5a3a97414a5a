// Any bytes as a dataset: an input is a 4-byte length, so many bytes of .index, and .bin is the
// rest. Refused with an Error, or every read stays inside and gives ids of the vocabulary.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/packed_dataset.h"
#include "data/token_file.h"

namespace {

void write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// A folder in memory where there is one: the readers map files, so the input must become files.
const std::filesystem::path& folder() {
  static const std::filesystem::path path = [] {
    std::filesystem::path root =
        std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::filesystem::path own = root / ("llm-dataset-fuzz-" + std::to_string(getpid()));
    std::filesystem::create_directories(own);
    return own;
  }();
  return path;
}

struct Cleaner {
  ~Cleaner() {
    std::error_code ignored;
    std::filesystem::remove_all(folder(), ignored);
  }
} cleaner;

constexpr int64_t kVocabSize = 300;

void read_all(const llm::TokenFile& file) {
  int64_t tokens = 0;
  for (int64_t s = 0; s < file.sequences(); ++s) {
    tokens += static_cast<int64_t>(file.sequence(s).size());
  }
  if (tokens != file.tokens() || file.sequence_of(file.tokens() - 1) >= file.sequences()) {
    std::abort();
  }
  std::vector<int64_t> ids(static_cast<size_t>(tokens));
  file.read(0, ids);
  for (int64_t id : ids) {
    if (id < 0 || id >= kVocabSize) {
      std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llm;
  if (size < 4) {
    return 0;
  }
  uint32_t index_bytes = 0;
  std::memcpy(&index_bytes, data, 4);
  const std::string_view rest(reinterpret_cast<const char*>(data) + 4, size - 4);
  const size_t cut = std::min<size_t>(index_bytes, rest.size());
  write(folder() / "x.index", rest.substr(0, cut));
  write(folder() / "x.bin", rest.substr(cut));
  try {
    read_all(TokenFile::open(folder() / "x", {"", kVocabSize}));
    const PackedDataset dataset(TokenFile::open(folder() / "x", {"", kVocabSize}), 4);
    std::vector<int64_t> window(5);
    dataset.copy_window(dataset.size() - 1, window);
    verify_token_file(folder() / "x", {"", kVocabSize});
  } catch (const Error& error) {
    if (error.code() != Exit::bad_input || error.message().empty()) {
      std::abort();
    }
  }
  return 0;
}
