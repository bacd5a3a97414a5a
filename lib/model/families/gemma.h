// What the Gemma families share.
#pragma once

#include "model/families/hf_keys.h"

namespace llm {

void read_gemma_keys(HfKeys& keys);
void write_gemma_keys(const ModelConfig& config, HfJson& json);
void write_gemma2_keys(const ModelConfig& config, HfJson& json);

}  // namespace llm
