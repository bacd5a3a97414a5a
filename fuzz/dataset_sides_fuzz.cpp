// Any bytes beside a good dataset. The first byte says what the others are: 's' PREFIX.sum, 'm'
// PREFIX.mask, 'M' a mask whose header is put right, so that the marks themselves are looked at.
// Refused with an Error, or every mark and row can be read.
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "data/document_dataset.h"
#include "data/loss_mask.h"
#include "data/packed_dataset.h"
#include "data/token_file.h"

namespace {

using namespace llm;

void write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// A dataset of three documents in a folder of its own, in memory where there is some.
struct Dataset {
  std::filesystem::path folder, prefix;
  std::string header;  // of its mask, as it should be
  Dataset() {
    const std::filesystem::path root =
        std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
    folder = root / ("llm-sides-fuzz-" + std::to_string(getpid()));
    prefix = folder / "x";
    TokenFileWriter writer(prefix, std::string(64, '0'));
    writer.append(std::vector<int32_t>{5, 6, 7}, std::vector<uint8_t>{0, 1, 1});
    writer.append(std::vector<int32_t>{8, 9});
    writer.append(std::vector<int32_t>(30, 11));
    writer.finish();
    std::ifstream in(loss_mask_path(prefix), std::ios::binary);
    header = std::string(std::istreambuf_iterator<char>(in), {}).substr(0, 64);
  }
  ~Dataset() {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
  }
};

void read_all(const std::filesystem::path& prefix) {
  const TokenFile file = TokenFile::open(prefix);
  if (const LossMask* mask = file.loss_mask()) {
    std::vector<uint8_t> marks(static_cast<size_t>(file.tokens()));
    mask->read(0, marks);
    const auto counted = std::count(marks.begin(), marks.end(), 1);
    if (counted != mask->count(0, file.tokens()) || counted != mask->tokens_to_learn()) {
      std::abort();
    }
  }
  verify_token_file(prefix);
  Batch batch;
  const PackedDataset windows(TokenFile::open(prefix), 4);
  windows.read(std::vector<RowPlace>{{0, 0}, {windows.size() - 1, 0}}, batch);
  const DocumentDataset documents(TokenFile::open(prefix), {.seq_len = 8, .packed = true});
  documents.read(std::vector<RowPlace>{{documents.size() - 1, 0}}, batch);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Dataset dataset;
  if (size == 0) {
    return 0;
  }
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'M' && bytes.size() >= dataset.header.size()) {
    const uint64_t claimed = static_cast<unsigned char>(bytes[24]) % 36;  // of 35 tokens
    bytes.replace(0, dataset.header.size(), dataset.header);
    std::memcpy(bytes.data() + 24, &claimed, sizeof claimed);
  }
  const char* suffix = data[0] == 's' ? ".sum" : ".mask";
  write(dataset.prefix.string() + suffix, bytes);
  try {
    read_all(dataset.prefix);
  } catch (const Error& error) {
    if (error.code() != Exit::bad_input || error.message().empty()) {
      std::abort();
    }
  }
  std::filesystem::remove(dataset.prefix.string() + ".mask");
  std::filesystem::remove(dataset.prefix.string() + ".sum");
  return 0;
}
