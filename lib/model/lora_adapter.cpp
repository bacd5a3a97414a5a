#include "model/lora_adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "model/families/families.h"
#include "model/kernels/packed_linear.h"
#include "model/lora_config.h"
#include "model/parameter_layout.h"
#include "model/weight_source.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kModulePrefix = "base_model.model.";

fs::path weights_of(const fs::path& directory) {
  for (const char* name : {"adapter_model.safetensors", "adapter_model.bin"}) {
    if (fs::exists(directory / name)) return directory / name;
  }
  fail(Exit::bad_input, fmt::format("'{}' has no adapter_model.safetensors", directory.string()));
}

struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;
};

/// The two matrices of a module, by its path in the family's files.
struct Pair {
  std::optional<Matrix> a, b;
};

Matrix read_matrix(const WeightSource& weights, const WeightEntry& entry) {
  if (entry.shape.size() != 2)
    fail(Exit::bad_input, fmt::format("{}: {} is {}, a matrix is expected", weights.place(),
                                      entry.name, shape_text(entry.shape)));
  const std::optional<StoredRows> rows = weights.rows(entry);
  if (!rows)
    fail(Exit::bad_input, fmt::format("{}: {} is {}, F32, F16 or BF16 is expected", weights.place(),
                                      entry.name, entry.dtype));
  Matrix matrix{entry.shape[0], entry.shape[1], {}};
  matrix.values.resize(static_cast<size_t>(matrix.rows * matrix.columns));
  for (int64_t row = 0; row < matrix.rows; ++row)
    read_row(*rows, row, false, matrix.values.data() + row * matrix.columns);
  return matrix;
}

/// "base_model.model.X.lora_A.weight" -> {"X", 'A'}; PEFT keeps the adapter's name in between where
/// it saves a whole state.
std::optional<std::pair<std::string, char>> parse_name(const std::string& name) {
  for (const char* end : {".weight", ".default.weight"}) {
    for (const char letter : {'A', 'B'}) {
      const std::string tail = fmt::format(".lora_{}{}", letter, end);
      if (!name.ends_with(tail)) continue;
      std::string module = name.substr(0, name.size() - tail.size());
      if (module.starts_with(kModulePrefix)) module.erase(0, std::string(kModulePrefix).size());
      return std::pair(module, letter);
    }
  }
  return std::nullopt;
}

std::map<std::string, Pair> read_pairs(const WeightSource& weights) {
  std::map<std::string, Pair> pairs;
  for (const WeightEntry& entry : weights.entries()) {
    const auto name = parse_name(entry.name);
    if (!name)
      fail(Exit::bad_input,
           fmt::format("{}: '{}' is not a matrix of LoRA (…lora_A.weight, …lora_B.weight)",
                       weights.place(), entry.name));
    Pair& pair = pairs[name->first];
    std::optional<Matrix>& side = name->second == 'A' ? pair.a : pair.b;
    check_input(!side, "{}: '{}' is there twice", weights.place(), entry.name);
    side = read_matrix(weights, entry);
  }
  if (pairs.empty()) fail(Exit::bad_input, fmt::format("{}: holds no tensors", weights.place()));
  for (const auto& [module, pair] : pairs)
    check_input(pair.a && pair.b, "{}: {} has lora_{} only", weights.place(), module,
                pair.a ? 'A' : 'B');
  return pairs;
}

/// Where row `row` of part `part` lies among the rows of what is stored as one.
int64_t stored_row(const StoredTensor& stored, size_t part, int64_t row, int64_t first) {
  const int64_t D = stored.head_dim, R = stored.rotary_dim;
  if (stored.layout == StoredLayout::heads)
    return (row / D * std::ssize(stored.parameters) + static_cast<int64_t>(part)) * D + row % D;
  if (stored.layout == StoredLayout::rotary_pairs && row % D < R)
    return row / D * D + row % D % (R / 2) * 2 + row % D / (R / 2);
  return first + row;
}

struct Shapes {
  std::map<std::string, std::vector<int64_t>> of;  // (outputs, inputs) by parameter
  explicit Shapes(const ModelConfig& config) {
    for (ParameterPlace& place : parameter_layout(config))
      of.emplace(std::move(place.name), std::move(place.shape));
  }
};

std::string matrix_names(const std::vector<StoredTensor>& stored, const Shapes& shapes) {
  std::set<std::string> names;
  for (const StoredTensor& tensor : stored) {
    if (shapes.of.at(tensor.parameters[0]).size() != 2) continue;
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    if (module.find(".0.") != std::string::npos) names.insert(module.substr(module.rfind('.') + 1));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The deltas of one module's parameters.
void add_deltas(LoraAdapter& adapter, const StoredTensor& stored, const Shapes& shapes,
                const Pair& pair, float scale) {
  const Matrix &a = *pair.a, &b = *pair.b;
  int64_t first = 0;
  for (size_t part = 0; part < stored.parameters.size(); ++part) {
    const std::vector<int64_t>& shape = shapes.of.at(stored.parameters[part]);
    LoraDelta delta{a.rows, shape[1], shape[0], scale, a.values, {}};
    for (int64_t row = 0; row < delta.outputs; ++row) {
      const auto from = b.values.begin() + stored_row(stored, part, row, first) * b.columns;
      delta.b.insert(delta.b.end(), from, from + b.columns);
    }
    first += delta.outputs;
    adapter.deltas.emplace(stored.parameters[part], std::move(delta));
  }
}

void check_shapes(const std::string& place, const std::string& module, const StoredTensor& stored,
                  const Shapes& shapes, const Pair& pair, int64_t rank) {
  int64_t outputs = 0;
  for (const std::string& name : stored.parameters) outputs += shapes.of.at(name)[0];
  const int64_t inputs = shapes.of.at(stored.parameters[0])[1];
  const Matrix &a = *pair.a, &b = *pair.b;
  if (a.columns != inputs || b.rows != outputs)
    fail(Exit::bad_input,
         fmt::format("{}: {} is {}x{} in this model, the adapter was made for {}x{}", place, module,
                     outputs, inputs, b.rows, a.columns),
         "give the model that the adapter was trained on");
  check_input(a.rows == b.columns && a.rows == rank,
              "{}: {} has rank {} in lora_A and {} in lora_B; adapter_config.json says {}", place,
              module, a.rows, b.columns, rank);
}

}  // namespace

int64_t LoraAdapter::parameters() const {
  int64_t count = 0;
  for (const auto& [name, delta] : deltas) count += delta.rank * (delta.inputs + delta.outputs);
  return count;
}

bool is_adapter_directory(const fs::path& path) {
  return fs::is_regular_file(path / kConfigFile) && !fs::exists(path / "config.json");
}

std::string base_of_adapter(const fs::path& directory) {
  const std::string base = read_lora_config(directory / kConfigFile).base_model;
  if (base.empty())
    fail(Exit::bad_input, fmt::format("{}: says no base model", (directory / kConfigFile).string()),
         "give it with --base-model-path");
  const fs::path beside = directory / base;
  return !fs::exists(base) && fs::exists(beside) ? beside.string() : base;
}

LoraAdapter load_lora_adapter(const fs::path& directory, const ModelConfig& base) {
  if (!fs::is_regular_file(directory / kConfigFile))
    fail(Exit::bad_input,
         fmt::format("'{}' is no adapter: it has no {}", directory.string(), kConfigFile),
         "an adapter is a directory as PEFT saves it");
  const LoraConfig config = read_lora_config(directory / kConfigFile);
  const std::unique_ptr<WeightSource> weights = open_stored_weights(weights_of(directory));
  const Family& family = family_of(base);
  const std::vector<StoredTensor> stored = stored_tensors(base, family);
  const Shapes shapes(base);
  std::map<std::string, const StoredTensor*> matrices;
  for (const StoredTensor& tensor : stored) {
    const bool in_layers = tensor.parameters[0].starts_with("model.layers.");
    if (in_layers && tensor.name.ends_with(".weight") &&
        shapes.of.at(tensor.parameters[0]).size() == 2)
      matrices.emplace(tensor.name, &tensor);
  }
  LoraAdapter adapter;
  std::set<std::string> unseen(config.targets.begin(), config.targets.end());
  for (const auto& [module, pair] : read_pairs(*weights)) {
    const auto found = matrices.find(canonical_stored_name(base, family, module + ".weight"));
    if (found == matrices.end())
      fail(Exit::bad_input,
           fmt::format("{}: this model has no layer '{}' that can be adapted", weights->place(),
                       module),
           fmt::format("its layers have {}", matrix_names(stored, shapes)));
    check_shapes(weights->place(), module, *found->second, shapes, pair, config.rank_of(module));
    add_deltas(adapter, *found->second, shapes, pair, config.scale_of(module));
    std::erase_if(unseen, [&](const auto& end) { return ends_module_path(module, end); });
  }
  if (!unseen.empty() && *unseen.begin() != "all-linear")
    fail(Exit::bad_input, fmt::format("{}: no tensors for target module '{}' of {}",
                                      weights->place(), *unseen.begin(), kConfigFile));
  return adapter;
}

}  // namespace llm
