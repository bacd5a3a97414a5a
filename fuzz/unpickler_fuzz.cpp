// Any bytes as a PyTorch .bin file: refused with an Error that names the file, or every tensor lies
// inside its storage and that inside the file.
//
// Sources: lib/model/pytorch_file.cpp lib/model/unpickler.cpp lib/model/pickle_machine.cpp
// Sources: lib/model/zip_reader.cpp lib/model/safetensors.cpp
#include <cstdint>
#include <cstdlib>
#include <span>

#include "fuzz/names_file.h"
#include "model/pytorch_file.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<llm::PytorchTensor> tensors;
  try {
    tensors = llm::parse_pytorch_file(std::as_bytes(std::span(data, size)), "fuzz.bin");
  } catch (const llm::Error& error) {
    if (!llm::names_file(error, "fuzz.bin")) std::abort();
    return 0;
  }
  for (const llm::PytorchTensor& tensor : tensors) {
    const uint64_t bytes = static_cast<uint64_t>(llm::safetensors_dtype_bits(tensor.dtype)) / 8;
    if (bytes == 0 || tensor.storage_end > size || tensor.begin > tensor.storage_end ||
        tensor.shape.size() != tensor.strides.size())
      std::abort();
    uint64_t elements = 1, last = 0;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      elements *= static_cast<uint64_t>(tensor.shape[i]);
      last += static_cast<uint64_t>(tensor.shape[i] - 1) * static_cast<uint64_t>(tensor.strides[i]);
    }
    if (elements == 0) continue;
    if (elements > size || last > size || tensor.begin + (last + 1) * bytes > tensor.storage_end)
      std::abort();
  }
  return 0;
}
