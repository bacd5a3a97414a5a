// What GPT-2 and GPT-J share.
#pragma once

#include "model/families/hf_keys.h"

namespace llm {

void read_gpt_keys(HfKeys& keys);
void write_gpt_keys(const ModelConfig& config, HfJson& json);

}  // namespace llm
