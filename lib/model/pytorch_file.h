// The tensors of a PyTorch .bin file (torch.save of a state dictionary) as places in the file: a
// ZIP archive of a pickle and raw storages, or the older form of pickles followed by storages.
//
// Nothing is executed (unpickler.h) and no tensor data is read: every tensor's offset, shape and
// strides are checked against its storage, and every storage against the file. The top must be a
// dictionary of named tensors, each name once. Errors are Error(bad_input) and name the file. No
// LibTorch here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llm {

struct PytorchTensor {
  std::string name;
  std::string dtype;  // as safetensors writes it: "F32"
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements
  uint64_t begin = 0;            // of its first element, from the start of the file
  uint64_t storage_end = 0;      // no element reaches past this
};

std::vector<PytorchTensor> parse_pytorch_file(std::span<const std::byte> file,
                                              const std::string& source_name);

}  // namespace llm
