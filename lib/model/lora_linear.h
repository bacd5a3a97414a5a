// A LoRA adapter (lora_adapter.h) as a state of a Transformer's Linears.
#pragma once

#include <memory>

#include "model/lora_adapter.h"

namespace llm {

class Transformer;

/// A second Transformer over the model's parameters whose products add the adapter's, in the
/// model's compute dtype and on its device. The model keeps answering as before; both may run at
/// the same time.
std::unique_ptr<Transformer> with_lora(const Transformer& model, const LoraAdapter& adapter);

/// Adds the deltas to the parameters themselves: W += scale * B A, summed in float32 (float64 where
/// the model is) and rounded once to the parameters' dtype.
void merge_lora(Transformer& model, const LoraAdapter& adapter);

}  // namespace llm
