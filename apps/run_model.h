// The model of a training run, made and checked against its tokenizer. Changes the config so that
// it ends up resolved: written as RUN/config.yaml it repeats the run. Main thread only.
#pragma once

#include <memory>

#include "apps/run_config.h"
#include "apps/run_tokenizer.h"
#include "base/encryption_key.h"
#include "model/transformer.h"

namespace llm {

/// Sets model.vocab_size from the tokenizer where it was not given, else checks it; takes the shape
/// of checkpoint.model_path where one is named; resolves precision, seed, row length and threads.
void settle_model(RunConfig& config, const Fields& fields, const RunTokenizer& tokenizer);

/// A fresh model, or the weights of checkpoint.model_path; with checkpoint.resize_embeddings the
/// rows that the old vocabulary lacks are fresh. `key` opens weights that are encrypted.
std::unique_ptr<Transformer> make_model(const RunConfig& config, const EncryptionKey& key);

}  // namespace llm
