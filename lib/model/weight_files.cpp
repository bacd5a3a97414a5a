#include "model/weight_files.h"

#include <set>

#include "base/error.h"
#include "base/file_io.h"
#include "base/system_memory.h"
#include "model/safetensors.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> files_of_directory(const fs::path& directory) {
  for (const WeightFile kind : kWeightFiles) {
    const fs::path file = directory / weight_file_name(kind);
    if (!fs::exists(file)) continue;
    if (kind == WeightFile::safetensors || kind == WeightFile::pytorch) return {file};
    std::set<fs::path> shards;
    for (const auto& [tensor, shard] : parse_safetensors_index(read_file(file), file.string()))
      shards.insert(directory / shard);
    return {shards.begin(), shards.end()};
  }
  return {};
}

std::vector<MappedFile> mapped(const std::vector<fs::path>& files) {
  const auto memory = static_cast<uint64_t>(usable_memory_bytes());
  uint64_t bytes = 0;
  for (const fs::path& file : files) bytes += fs::file_size(file);
  std::vector<MappedFile> mappings;
  if (bytes > memory / 2) return mappings;
  for (const fs::path& file : files) {
    mappings.push_back(MappedFile::open(file));
    mappings.back().populate();
  }
  return mappings;
}

}  // namespace

const char* weight_file_name(WeightFile kind) {
  switch (kind) {
    case WeightFile::safetensors:
      return "model.safetensors";
    case WeightFile::sharded_safetensors:
      return "model.safetensors.index.json";
    case WeightFile::pytorch:
      return "pytorch_model.bin";
    case WeightFile::sharded_pytorch:
      return "pytorch_model.bin.index.json";
  }
  return "";
}

std::vector<MappedFile> map_weight_files(const fs::path& model) {
  try {
    return mapped(fs::is_directory(model) ? files_of_directory(model)
                                          : std::vector<fs::path>{model});
  } catch (const Error&) {
  } catch (const fs::filesystem_error&) {
  }
  return {};
}

}  // namespace llm
