#include "model/load_config.h"

#include "gguf/gguf.h"
#include "model/gguf_config.h"
#include "model/hf_config.h"

namespace llm {

ModelConfig load_model_config(const std::filesystem::path& model_directory) {
  return is_gguf_file(model_directory)
             ? model_config_of_gguf(gguf_head(*Gguf::open(model_directory)))
             : load_hf_config(model_directory / "config.json");
}

}  // namespace llm
