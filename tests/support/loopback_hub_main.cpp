// A hub for tests of the program: serves one folder's files as org/name until its input ends.
//   loopback_hub FOLDER LOG [SPEED]
// Files named *.safetensors and *.gguf are large ones (behind a redirect); SPEED is the storage's
// in bytes per second. Prints its address. LOG gets one line per request: PLACE METHOD TARGET RANGE
// AUTHORIZATION BYTES.
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>

#include "tests/support/loopback_hub.h"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  namespace fs = std::filesystem;
  llm::LoopbackHub hub;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(argv[1])) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string suffix = entry.path().extension().string();
    auto& files = suffix == ".safetensors" || suffix == ".gguf" ? hub.large : hub.small;
    files[entry.path().lexically_relative(argv[1]).string()] =
        std::string(std::istreambuf_iterator<char>(file), {});
  }
  std::ofstream log(argv[2], std::ios::app);
  hub.watch = [&log](const llm::LoopbackHub::Seen& one) {
    log << one.place << ' ' << one.method << ' ' << one.target << ' '
        << (one.range.empty() ? "-" : one.range) << ' '
        << (one.authorization.empty() ? "-" : one.authorization) << ' ' << one.bytes << std::endl;
  };
  const size_t speed = argc > 3 ? static_cast<size_t>(std::atoll(argv[3])) : 0;
  hub.change_storage = [speed](const llm::LoopbackRequest&, llm::LoopbackReply& reply) {
    reply.bytes_per_second = speed;
  };
  std::cout << hub.endpoint() << std::endl;
  std::cin.ignore(std::numeric_limits<std::streamsize>::max());
  return 0;
}
