// One function per family, each defined in its own file: what families.cpp lists.
#pragma once

#include "model/families/family.h"

namespace llm {

Family llama_family();
Family mistral_family();
Family mixtral_family();
Family qwen2_family();
Family qwen3_family();
Family qwen3_moe_family();
Family phi3_family();
Family gpt2_family();
Family gptj_family();
Family gpt_neox_family();
Family opt_family();
Family gemma_family();
Family gemma2_family();
Family gemma3_family();
Family stablelm_family();
Family olmo2_family();
Family own_family();

}  // namespace llm
