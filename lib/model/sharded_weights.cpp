// Weights in several files beside an index; see weight_containers.h.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/error.h"
#include "base/file_io.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/number_text.h"
#include "model/mapped_weights.h"
#include "model/safetensors.h"
#include "model/weight_containers.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

using OpenShard = std::unique_ptr<MappedWeights> (*)(const fs::path&, const EncryptionKey&);

void compare_total_size(const std::string& text, const MappedWeights& weights,
                        const std::string& index) {
  const nlohmann::json document = parse_json(text, index);
  const auto metadata = JsonView(document, index).find("metadata");
  if (!metadata || !metadata->has("total_size")) {
    return;
  }
  const int64_t declared = metadata->get_int("total_size", 0, std::numeric_limits<int64_t>::max());
  uint64_t found = 0;
  for (const WeightEntry& entry : weights.entries()) {
    found += entry.bytes;
  }
  if (found != static_cast<uint64_t>(declared)) {
    log_warn("{}: total_size is {}, its tensors have {}", index, format_count(declared),
             format_count(static_cast<int64_t>(found)));
  }
}

std::unique_ptr<WeightSource> open_sharded(const fs::path& index, const char* format,
                                           OpenShard open_shard, const EncryptionKey& key) {
  const std::string source = index.string(), text = read_file(index);
  const std::map<std::string, std::string> weight_map = parse_safetensors_index(text, source);
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : weight_map) {
    shards.insert(shard);
  }
  auto weights = std::make_unique<MappedWeights>(source, format);
  std::set<std::string> found;
  for (const std::string& shard : shards) {
    const fs::path file = index.parent_path() / shard;
    check_input(fs::exists(file), "{}: index names '{}', not found", source, shard);
    const std::unique_ptr<MappedWeights> part = open_shard(file, key);
    for (const WeightEntry& entry : part->entries()) {
      const auto place = weight_map.find(entry.name);
      check_input(place != weight_map.end(), "{}: '{}' holds tensor '{}', which the index lacks",
                  source, shard, entry.name);
      check_input(found.insert(entry.name).second, "{}: tensor '{}' is in two shards", source,
                  entry.name);
      check_input(place->second == shard, "{}: index puts tensor '{}' into '{}', it is in '{}'",
                  source, entry.name, place->second, shard);
    }
    weights->append(*part);
  }
  for (const auto& [tensor, shard] : weight_map) {
    check_input(found.count(tensor) > 0, "{}: index puts tensor '{}' into '{}', which lacks it",
                source, tensor, shard);
  }
  compare_total_size(text, *weights, source);
  return weights;
}

}  // namespace

std::unique_ptr<WeightSource> open_sharded_safetensors(const fs::path& index,
                                                       const EncryptionKey& key) {
  return open_sharded(index, "safetensors", map_safetensors, key);
}

std::unique_ptr<WeightSource> open_sharded_pytorch(const fs::path& index,
                                                   const EncryptionKey& key) {
  return open_sharded(index, "PyTorch", map_pytorch, key);
}

}  // namespace llm
