#include "apps/prepare_config.h"

#include <algorithm>

namespace llm {
namespace {

using PrepareRule = KeyRule<PrepareDataConfig>;

/// Where nothing is prepared, what says how is idle.
std::vector<PrepareRule> looking_rules() {
  std::vector<std::string> preparing = {"output", "workers"};
  for (const char* key : {"val_fraction", "val_split", "format", "split", "field", "skip_bad",
                          "allow_invalid_utf8", "add_bos", "chat_template", "train_on_prompt"})
    preparing.push_back(std::string("data.") + key);
  const auto is_asked = [](const PrepareDataConfig& c) { return !c.info.empty(); };
  return {
      {preparing, {"info"}, is_asked, "", "--info prints what a dataset says of itself"},
      {{"tokenizer_path"}, {"info"}, is_asked, "", "--verify looks at the ids"},
      {preparing,
       {"verify"},
       [](const PrepareDataConfig& c) { return !c.verify.empty(); },
       "",
       "--verify reads what was written"},
  };
}

std::vector<PrepareRule> document_rules() {
  const auto reads_rows = [](const PrepareDataConfig& c) { return c.reads_rows(); };
  const auto reads_text = [](const PrepareDataConfig& c) { return c.reads_text(); };
  return {
      {{"data.val_split"},
       {"data.val_fraction"},
       [](const PrepareDataConfig& c) { return c.data.text.val_fraction == 0; },
       "",
       "nothing is kept for validation"},
      {{"data.split", "data.allow_invalid_utf8"},
       {"input", "data.format"},
       reads_rows,
       "with rows of JSON",
       "it is about plain text"},
      {{"data.field", "data.skip_bad", "data.chat_template", "data.train_on_prompt"},
       {"input", "data.format"},
       reads_text,
       "with plain text",
       "it is about rows of JSON",
       {"none"}},
      {{"data.chat_template", "data.train_on_prompt"},
       {"data.field"},
       [](const PrepareDataConfig& c) { return !c.data.text.field.empty(); },
       "",
       "the text of one field is no conversation",
       {"none"}},
  };
}

}  // namespace

void DocumentRules::fields(Fields& f) {
  text.fields(f);
  f.ignore({"path", "validation_path", "use_lmsys_dataset", "shuffle", "shift_windows", "workers",
            "num_workers", "synthetic_stories", "synthetic_seed"});
}

void PrepareDataConfig::fields(Fields& f) {
  f.section("", runtime);
  f("input", input,
    "Files to read: text, JSON Lines, JSON arrays, any of them as .zst, - for standard input")
      .flag("input")
      .flag_only()
      .verbatim()
      .value_name("FILE");
  f("tokenizer_path", tokenizer_path, "Tokenizer file, or the model directory that holds one")
      .flag("tokenizer-path")
      .flag_only()
      .value_name("PATH");
  f("output", output, "Where to write: PREFIX.bin and PREFIX.index, validation beside it",
    non_empty())
      .flag("output")
      .flag_only()
      .value_name("PREFIX");
  f("workers", workers, "Threads that encode; the files are the same for any number",
    in_range(1, 256))
      .flag("workers")
      .flag_only();
  f("verify", verify,
    "Check a dataset in full instead: every length, every checksum, every id (below the "
    "vocabulary if --tokenizer-path is given)")
      .flag("verify")
      .flag_only()
      .value_name("PREFIX");
  f("info", info, "Print what a dataset says of itself instead")
      .flag("info")
      .flag_only()
      .value_name("PREFIX");
  f.section("data", data, "What a document is");
  f.show_only({"", "data"});
  f.cross_check("info", [this, &f, defaults = texts_of(f)] {
    refuse_idle_keys(f, rules(), *this, defaults);
    return std::string();
  });
}

bool PrepareDataConfig::holds(bool rows) const {
  if (data.text.format != "auto") return (data.text.format != "text") == rows;
  return !input.empty() && std::all_of(input.begin(), input.end(), [&](const std::string& name) {
    return rows_by_name(name) == rows;
  });
}

const std::vector<PrepareRule>& PrepareDataConfig::rules() {
  static const std::vector<PrepareRule> all = [] {
    std::vector<PrepareRule> rules = looking_rules();
    for (PrepareRule& rule : document_rules()) rules.push_back(std::move(rule));
    return rules;
  }();
  return all;
}

}  // namespace llm
