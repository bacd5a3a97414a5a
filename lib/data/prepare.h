// prepare-data: text in, token files out.
//
// Worker threads take raw records from one reader, parse and encode them, and hand the ids on;
// sequences are written in input order, so the files are the same bytes for any number of workers,
// and memory does not grow with the input. Validation documents go to a second dataset: PREFIX with
// its last "train" replaced by "val", else PREFIX-val; a later run that splits nothing off removes
// it (validation_part.h). Where conversations were rendered,
// PREFIX.jinja keeps the template.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/chat_format.h"
#include "data/text_reader.h"
#include "data/validation_part.h"

namespace llm {

class Tokenizer;

enum class ValidationSplit {
  hash,  // a document is validation if a hash of (seed, its first piece) falls below the fraction:
         // stable when files are added or reordered
  tail,  // the last fraction of the input's bytes; cuts a plain document in two where it has to
};
ValidationSplit parse_validation_split(std::string_view name);

struct PrepareOptions {
  std::vector<std::string> inputs;  // files, or "-"
  std::filesystem::path output;     // prefix
  TextReaderOptions reader;
  double val_fraction = 0;
  ValidationSplit val_split = ValidationSplit::hash;
  uint64_t seed = 0;
  int64_t workers = 0;  // 0 = one per usable core
  bool add_bos = false;
  bool add_eos = true;
  ChatFormat chat;  // what rows of JSON become
  bool show_progress = false;
  // Asked between chunks, and last before the files are put in their places; true ends it at once
  // and leaves what was there.
  std::function<bool()> stop_requested;
};

struct PreparedSet {
  std::filesystem::path prefix;  // empty: not written
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t tokens_to_learn = 0;
  int64_t text_bytes = 0;  // of the documents themselves: bits per byte divides by this
};

struct PrepareResult {
  PreparedSet train;
  PreparedSet val;
  int64_t skipped_rows = 0;
  std::string first_bad_row;
  double seconds = 0;
  bool stopped = false;  // as asked; nothing was written
};

/// Exit 3: no text in the input, or none left for training. A validation part without a token to
/// learn is not written (val.prefix is empty); what an earlier run split off is removed then, and
/// another set in its place is warned of.
PrepareResult prepare_data(const PrepareOptions& options, const Tokenizer& tokenizer);

}  // namespace llm
