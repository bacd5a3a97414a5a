// What it costs not to trust a file: the time to open a container of weights and check every count,
// length, offset and name of it, the tensors' own bytes untouched. An upper bound of the checks
// alone, as finding the tensors is in it.
//
//   container_checks FILE...      .gguf or .safetensors; one JSON object per file, microseconds
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "benchmarks/guarded_main.h"
#include "gguf/gguf.h"
#include "model/safetensors.h"

namespace llm {
namespace {

size_t open_and_check(const std::string& path) {
  if (is_gguf_file(path)) {
    return Gguf::open(path)->tensors().size();
  }
  const MappedFile file = MappedFile::open(path);
  return parse_safetensors(file.bytes(), path).tensors.size();
}

int run(int argc, char** argv) {
  check(argc > 1, "usage: container_checks FILE...");
  for (int i = 1; i < argc; ++i) {
    constexpr int kRounds = 21;
    std::vector<double> times;
    size_t tensors = 0;
    for (int round = 0; round < kRounds; ++round) {
      const auto start = std::chrono::steady_clock::now();
      tensors = open_and_check(argv[i]);
      times.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start)
              .count());
    }
    std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
    fmt::print("{{\"file\": \"{}\", \"tensors\": {}, \"microseconds\": {:.0f}}}\n", argv[i],
               tensors, times[kRounds / 2]);
  }
  return 0;
}

}  // namespace
}  // namespace llm

int main(int argc, char** argv) {
  return guarded_main("container_checks", [&] { return llm::run(argc, argv); });
}
