#include "data/data_config.h"

#include <memory>
#include <utility>

#include "base/config.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {

void TextConfig::fields(Fields& f) {
  f("val_fraction", val_fraction,
    "Share of the documents (hash) or of the text (tail) that is kept for validation",
    in_range(0, 0.9))
      .flag("val-fraction");
  f("val_split", val_split, "Validation documents: drawn by hash, or the tail of the input",
    one_of({"hash", "tail"}))
      .flag("val-split");
  f("format", format, "What the input files hold",
    one_of({"auto", "text", "jsonl", "alpaca", "sharegpt", "messages", "lmsys"}))
      .flag("format");
  f("split", split, "What a document is in plain text", one_of({"line", "document", "blank-line"}))
      .flag("split");
  f("field", field, "Field of a JSON row that holds the text; empty = found by its usual names")
      .flag("field");
  f("skip_bad", skip_bad, "Leave out JSON rows that cannot be read, and count them")
      .flag("skip-bad");
  f("allow_invalid_utf8", allow_invalid_utf8, "Take plain text that is not valid UTF-8 as it is")
      .flag("allow-invalid-utf8");
  f("add_bos", add_bos, "Begin each document with the tokenizer's bos token").flag("add-bos");
  f("chat_template", chat_template,
    "Jinja file by which conversations and pairs of prompt and response become text; auto = the "
    "model's own, else a plain one; none = lines of plain text")
      .flag("chat-template")
      .value_name("FILE");
  f("train_on_prompt", train_on_prompt,
    "Learn all of a conversation or pair; false = only what the assistant says")
      .flag("train-on-prompt");
}

ChatFormat open_chat_format(const TextConfig& config, const Tokenizer& tokenizer,
                            const std::filesystem::path& model) {
  ChatFormat format;
  format.train_on_prompt = config.train_on_prompt;
  if (!config.wants_chat_template()) {
    return format;
  }
  std::optional<ChatTemplate> chosen;
  if (config.chat_template != "auto") {
    chosen = ChatTemplate::load_file(config.chat_template, model, special_tokens_of(tokenizer));
  } else if (!model.empty()) {
    chosen = open_chat_template(model, tokenizer);
  }
  if (!chosen) {
    chosen = ChatTemplate::parse(plain_chat_template(tokenizer), special_tokens_of(tokenizer));
  }
  format.chat_template = std::make_shared<const ChatTemplate>(std::move(*chosen));
  return format;
}

TextReaderOptions TextConfig::reader_options() const {
  TextReaderOptions options;
  options.format = parse_text_format(format);
  options.split = parse_text_split(split);
  options.field = field;
  options.skip_bad = skip_bad;
  options.allow_invalid_utf8 = allow_invalid_utf8;
  return options;
}

PrepareOptions TextConfig::prepare_options() const {
  PrepareOptions options;
  options.reader = reader_options();
  options.val_fraction = val_fraction;
  options.val_split = parse_validation_split(val_split);
  options.add_bos = add_bos;
  return options;
}

void DataConfig::fields(Fields& f) {
  f("path", path,
    "Text, JSON Lines or .zst files, or the prefix of a prepared dataset; empty = built-in stories")
      .flag("data-path")
      .verbatim()
      .must_exist({".index", ".bin"});
  f("validation_path", validation_path,
    "Text file or dataset prefix for validation; empty = split off the training data")
      .flag("validation-path");
  f.section("", text);
  f("use_lmsys_dataset", use_lmsys_dataset,
    "The input is a local copy of the LMSYS-Chat-1M rows (default file: data/lmsys_chat_1m.jsonl)")
      .flag("use-lmsys-dataset");
  f("shuffle", shuffle, "Draw training windows in random order");
  f("shift_windows", shift_windows,
    "Cut the windows of each epoch after the first at another offset");
  f("workers", workers, "Threads that prepare batches ahead; 0 = none", in_range(0, 64))
      .flag("workers")
      .alias("num_workers");
  f("synthetic_stories", synthetic_stories, "Built-in corpus: number of training stories",
    in_range(1, 100'000'000))
      .flag("synthetic-stories");
  f("synthetic_seed", synthetic_seed, "Built-in corpus: seed of its stories", at_least(0))
      .flag("synthetic-seed");
}

}  // namespace llm
