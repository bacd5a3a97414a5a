// Any bytes as a GGUF file: refused with an Error that names the file, or every tensor lies inside
// the file and can be read, and what the metadata says of model and tokenizer is taken or refused
// by name.
//
// Sources: lib/model/gguf_config.cpp lib/model/gguf_names.cpp lib/model/gguf_rope.cpp
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "base/error.h"
#include "gguf/gguf.h"
#include "model/gguf_config.h"
#include "tokenizer/gguf_tokenizer.h"

namespace {

template <typename Action>
void allow_refusal(Action action) {
  try {
    action();
  } catch (const llm::Error& error) {
    if (error.code() != llm::Exit::bad_input ||
        error.message().find("fuzz.gguf") == std::string::npos)
      std::abort();
  }
}

void check_tensors(const llm::Gguf& file, size_t size) {
  uint64_t total = 0;
  for (const llm::GgufTensor& tensor : file.tensors()) {
    uint64_t numbers = 1;
    for (const int64_t length : tensor.shape) {
      numbers *= static_cast<uint64_t>(length);
    }
    const llm::BlockFormat& format = *tensor.format;
    if (numbers / format.values * format.bytes != tensor.bytes.size() ||
        file.find_tensor(tensor.name) != &tensor)
      std::abort();
    total += tensor.bytes.size();
    if (format.readable) {
      std::vector<float> values(numbers);
      llm::dequantize(format, tensor.bytes, values);
    }
  }
  if (file.data_offset() + total > size) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  allow_refusal([&] {
    const llm::Gguf file(std::as_bytes(std::span(data, size)), "fuzz.gguf");
    check_tensors(file, size);
    for (const llm::GgufEntry& entry : file.entries()) {
      if (file.find(entry.key) != &entry.value) std::abort();
    }
    allow_refusal([&] { (void)llm::gguf_tokenizer_parts(file); });
    allow_refusal([&] { (void)llm::hf_config_of_gguf(llm::gguf_head(file)); });
  });
  return 0;
}
