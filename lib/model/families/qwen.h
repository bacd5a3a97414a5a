// What the Qwen families share.
#pragma once

#include "model/families/hf_keys.h"

namespace llm {

void read_qwen_keys(HfKeys& keys);
void write_qwen_keys(const ModelConfig& config, HfJson& json);

}  // namespace llm
