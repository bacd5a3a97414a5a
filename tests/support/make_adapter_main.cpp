// Writes a LoRA adapter with random numbers for a model, as PEFT lays it out:
//
//   make_adapter MODEL OUTPUT SEED     q_proj, v_proj and down_proj of every layer, rank 4
//
// Numbers are large enough to change a greedy text. For the tests of the program.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <vector>

#include "base/random.h"
#include "model/load_config.h"
#include "model/model_path.h"
#include "model/parameter_layout.h"
#include "model/safetensors.h"

namespace {

using namespace llm;

constexpr int64_t kRank = 4;

struct Matrix {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

Matrix random_matrix(std::string name, int64_t rows, int64_t columns, uint64_t key) {
  Matrix matrix{std::move(name), {rows, columns}, {}};
  const CounterRandom random(key);
  for (int64_t i = 0; i < rows * columns; ++i)
    matrix.values.push_back(unit_float(random.bits(static_cast<uint64_t>(i))) - 0.5f);
  return matrix;
}

bool is_adapted(const std::string& name) {
  return name.ends_with("q_proj.weight") || name.ends_with("v_proj.weight") ||
         name.ends_with("down_proj.weight");
}

void write_adapter(const std::string& base, const std::filesystem::path& output, uint64_t seed) {
  std::vector<Matrix> matrices;
  for (const ParameterPlace& place :
       parameter_layout(load_model_config(resolve_model_path(base)))) {
    if (!is_adapted(place.name)) continue;
    const std::string module = "base_model.model." + place.name.substr(0, place.name.rfind('.'));
    const uint64_t key = combine_keys(seed, static_cast<uint64_t>(place.offset));
    matrices.push_back(random_matrix(module + ".lora_A.weight", kRank, place.shape[1], key));
    matrices.push_back(random_matrix(module + ".lora_B.weight", place.shape[0], kRank, key + 1));
  }
  std::vector<SafetensorsSource> tensors;
  for (const Matrix& matrix : matrices)
    tensors.push_back({matrix.name, "F32", matrix.shape, std::as_bytes(std::span(matrix.values))});
  std::filesystem::create_directories(output);
  write_safetensors(output / "adapter_model.safetensors", tensors);
  std::ofstream(output / "adapter_config.json") << fmt::format(
      R"({{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": {}, "lora_alpha": 8,
 "target_modules": ["q_proj", "v_proj", "down_proj"], "bias": "none",
 "base_model_name_or_path": "{}"}})",
      kRank, base);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: make_adapter MODEL OUTPUT SEED\n";
    return 2;
  }
  write_adapter(argv[1], argv[2], std::stoull(argv[3]));
}
