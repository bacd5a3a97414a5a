// Any bytes as a safetensors file: refused with an Error that names the file, or every byte of the
// data belongs to exactly one tensor.
//
// Sources: lib/model/safetensors.cpp
#include <cstdint>
#include <cstdlib>
#include <span>

#include "fuzz/names_file.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  llm::SafetensorsHeader header;
  try {
    header = llm::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzz.safetensors");
  } catch (const llm::Error& error) {
    if (!llm::names_file(error, "fuzz.safetensors")) std::abort();
    return 0;
  }
  uint64_t place = 0;
  for (const llm::SafetensorsEntry& tensor : header.tensors) {
    if (tensor.begin != place || tensor.end < tensor.begin || header.find(tensor.name) == nullptr)
      std::abort();
    uint64_t bits = static_cast<uint64_t>(llm::safetensors_dtype_bits(tensor.dtype));
    for (const int64_t length : tensor.shape) {
      bits *= static_cast<uint64_t>(length);
    }
    if (bits != 8 * (tensor.end - tensor.begin)) std::abort();
    place = tensor.end;
  }
  if (header.data_offset + place != size) std::abort();
  return 0;
}
