#include "tokenizer/sentencepiece_model.h"
#include "tokenizer/tokenizer_trainer.h"

namespace llm {

void TokenizerTrainerConfig::fields(Fields& f) {
  f("path", path, "Tokenizer file, or the model directory that holds one").flag("tokenizer-path");
  f("vocab_size", vocab_size,
    "Pieces of the vocabulary, special and byte pieces included; for char the most there may be",
    in_range(6, static_cast<long double>(kMaxPieces)))
      .flag("vocab-size");
  f("model_type", model_type, "How text is cut into pieces",
    one_of({"bpe", "unigram", "char", "word", "byte-bpe"}))
      .flag("model-type");
  f("byte_fallback", byte_fallback,
    "256 byte pieces for what the vocabulary lacks; without them such text is lost")
      .flag("byte-fallback");
  f("character_coverage", character_coverage,
    "Share of the text's characters that get pieces of their own", in_range(0.98, 1))
      .flag("character-coverage");
  f("max_sentences", max_sentences, "Lines to train on, drawn evenly from the input; 0 = all",
    at_least(0))
      .flag("max-sentences");
}

}  // namespace llm
