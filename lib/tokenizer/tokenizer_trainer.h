// Trains a tokenizer on text: a SentencePiece model, or a byte-level BPE as tokenizer.json.
//
// The SentencePiece model keeps text as it is: identity normalisation, no space put in front, no
// whitespace removed. Its first ids are <pad> 0, <s> 1, </s> 2, <unk> 3, <mask> 4; with byte
// fallback the 256 byte pieces <0x00> .. <0xFF> follow. Runs of spaces are learned as pieces. A
// newline is always a token of its own (its byte piece; without byte fallback a piece "\n"), so
// lines can be encoded apart from each other; the same holds for a tab, which SentencePiece keeps
// for itself while training.
//
// Without byte fallback, characters that the vocabulary lacks become <unk> and are lost: that is
// what the setting means.
//
// Byte-level BPE (byte-bpe) has the same special tokens and the 256 bytes after them, cuts words by
// GPT-2's pattern and learns from all of the text (tokenizer/byte_bpe_trainer.h).
//
// The same text and settings give the same bytes, on any machine: no path, time or thread count
// enters the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/config.h"
#include "base/signals.h"

namespace llm {

/// The section `tokenizer` of a run config: which tokenizer to use, and how to train one where
/// there is none.
struct TokenizerTrainerConfig {
  std::string path;  // tokenizer file or model directory; empty = the run finds or trains one
  int64_t vocab_size = 32000;      // char: an upper limit, the text decides
  std::string model_type = "bpe";  // bpe, unigram, char, word, byte-bpe
  bool byte_fallback = true;
  double character_coverage = 0.9999;  // rarer characters go through byte pieces
  int64_t max_sentences = 200'000;     // lines drawn evenly from the input; 0 = all of it
  bool fewer_allowed = false;  // no key: a text that does not give vocab_size pieces is no error

  void fields(Fields& f);
};

/// Gives the next piece of text, any bytes, any length; false at the end.
using TextSource = std::function<bool(std::string& text)>;

struct TokenizerTraining {
  std::string model;  // the bytes of the .model file, or of tokenizer.json
  std::string sha256;
  int64_t vocab_size = 0;
  int64_t text_bytes = 0;  // read
  int64_t lines = 0;       // read
  int64_t lines_used = 0;  // with text in them, after drawing max_sentences
};

/// Memory is bounded by max_sentences, not by the input. Throws Error(Exit::bad_input) when the
/// text is too small or too varied for vocab_size and says which size would do. Reports its
/// progress (base/progress.h). Throws Stopped soon after `stop` asks; what was being learnt then
/// goes on in the background until the process ends.
TokenizerTraining train_tokenizer(const TokenizerTrainerConfig& config, const TextSource& source,
                                  const StopRequest& stop = {});

/// The same, written to `output` in one step (base/atomic_file.h); its folder is made if it is
/// missing.
TokenizerTraining train_tokenizer(const TokenizerTrainerConfig& config, const TextSource& source,
                                  const std::filesystem::path& output,
                                  const StopRequest& stop = {});

/// Writes tokenizer.json, tokenizer_config.json and special_tokens_map.json of a trained tokenizer
/// (bpe, unigram, byte-bpe) into `directory`, as Hugging Face's libraries read them.
void write_hf_tokenizer(const std::string& model, const std::filesystem::path& directory);

}  // namespace llm
