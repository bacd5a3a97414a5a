// The writing side of safetensors.h, and the shard index.
#include <fmt/format.h>

#include <bit>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/sealed_file.h"
#include "model/safetensors.h"

namespace llm {

namespace {

// The eight bytes of its length and the header itself, padded so that data starts at a multiple of
// 64.
std::string header_of(const std::filesystem::path& path, const std::vector<SafetensorsPlan>& plan,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = {{"__metadata__", metadata}};
  std::set<std::string_view> names;
  uint64_t offset = 0;
  for (const SafetensorsPlan& tensor : plan) {
    if (!names.insert(tensor.name).second) {
      fail(Exit::internal,
           fmt::format("{}: tensor '{}' is given twice", path.string(), tensor.name));
    }
    header.push_back({tensor.name,
                      {{"dtype", tensor.dtype},
                       {"shape", tensor.shape},
                       {"data_offsets", {offset, offset + tensor.bytes}}}});
    offset += tensor.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
  std::string length(8, '\0');
  for (size_t i = 0; i < 8; ++i) {
    length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return length + text;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<SafetensorsPlan>& plan,
                       const SafetensorsBytes& bytes_of,
                       std::map<std::string, std::string> metadata, const EncryptionKey& key) {
  static_assert(std::endian::native == std::endian::little,
                "tensor bytes are written as they lie in memory");
  metadata.emplace("format", "pt");  // transformers refuses files without it
  const std::string header = header_of(path, plan, metadata);
  uint64_t total = header.size();
  for (const SafetensorsPlan& tensor : plan) {
    total += tensor.bytes;
  }
  check_free_space(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."),
                   key ? sealed_bytes(total) : total);
  AtomicFile file(path);
  std::optional<SealedWriter> seal;
  if (key) seal.emplace(file.file(), key);
  const auto write = [&](std::span<const std::byte> bytes) {
    seal ? seal->write(bytes) : file.write(bytes);
  };
  write(std::as_bytes(std::span(header)));
  for (size_t i = 0; i < plan.size(); ++i) {
    const std::span<const std::byte> bytes = bytes_of(i);
    if (bytes.size() != plan[i].bytes) {
      fail(Exit::internal, fmt::format("{}: tensor '{}' has {} bytes, not the planned {}",
                                       path.string(), plan[i].name, bytes.size(), plan[i].bytes));
    }
    write(bytes);
  }
  if (seal) seal->finish();
  file.commit();
}

void write_safetensors(const std::filesystem::path& path,
                       const std::vector<SafetensorsSource>& tensors,
                       std::map<std::string, std::string> metadata, const EncryptionKey& key) {
  std::vector<SafetensorsPlan> plan;
  for (const SafetensorsSource& tensor : tensors) {
    plan.push_back({tensor.name, tensor.dtype, tensor.shape, tensor.bytes.size()});
  }
  write_safetensors(
      path, plan, [&](size_t index) { return tensors[index].bytes; }, std::move(metadata), key);
}

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source_name) {
  const nlohmann::json document = parse_json(text, source_name);
  const JsonView view(document, source_name);
  const JsonView names = view.at("weight_map");
  names.expect_object();
  std::map<std::string, std::string> shards;
  for (const std::string& tensor : names.keys()) {
    std::string shard = names.at(tensor).as_string();
    const bool plain = !shard.empty() && shard.find('/') == std::string::npos &&
                       shard.find('\\') == std::string::npos &&
                       shard.find('\0') == std::string::npos &&
                       shard.find("..") == std::string::npos && shard != ".";
    check_input(plain, "{}: shard name '{}' not allowed", source_name, shard);
    shards.emplace(tensor, std::move(shard));
  }
  check_input(!shards.empty(), "{}: weight_map names no tensor", source_name);
  return shards;
}

}  // namespace llm
