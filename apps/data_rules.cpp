#include "apps/data_rules.h"

#include <algorithm>

#include "apps/run_config.h"
#include "apps/tokenizer_settings.h"
#include "data/chat_format.h"
#include "data/token_file.h"

namespace llm {
namespace {

using Rules = std::vector<RunRule>;

/// The training data lies there as tokens.
bool is_prepared(const RunConfig& c) {
  return std::any_of(c.data.path.begin(), c.data.path.end(),
                     [](const std::string& path) { return path != "-" && is_token_file(path); });
}

bool reads_only_tokens(const RunConfig& c) {
  const std::string& validation = c.data.validation_path;
  return is_prepared(c) && (validation.empty() || is_token_file(validation));
}

bool reads_json_rows(const RunConfig& c) {
  const std::string& format = c.data.text.format;
  return c.data.use_lmsys_dataset || (format != "auto" && format != "text");
}

bool reads_lines(const RunConfig& c) {
  return c.data.text.format == "text" && !c.data.use_lmsys_dataset;
}

bool reads_one_field(const RunConfig& c) { return !c.data.text.field.empty(); }

/// The dataset knows a chat template, with which one that is named must agree.
bool keeps_template(const RunConfig& c) {
  return std::filesystem::exists(dataset_template_path(token_file_prefix(c.data.path[0])));
}

/// What chats become: files may hold what a run chose for itself and wrote into its config.
Rules chat_rules() {
  const std::string chats = "data.chat_template";
  return {
      {{"data.add_bos"},
       {"data.path", "data.validation_path"},
       reads_only_tokens,
       "with a prepared dataset",
       "give it to prepare-data",
       {},
       FieldOrigin::by_environment},
      {{chats},
       {"data.path", "data.validation_path"},
       [](const RunConfig& c) { return reads_only_tokens(c) && !keeps_template(c); },
       "with a prepared dataset",
       "give it to prepare-data",
       {"none"},
       FieldOrigin::by_environment},
      {{chats},
       {"data.format"},
       reads_lines,
       "",
       "it is about rows of JSON",
       {"none"},
       FieldOrigin::by_environment},
      {{chats},
       {"data.field"},
       reads_one_field,
       "",
       "the text of one field is no conversation",
       {"none"},
       FieldOrigin::by_environment},
  };
}

/// How text becomes documents: read by nobody where there is no text.
Rules text_rules() {
  std::vector<std::string> reading = {
      "data.format",         "data.split", "data.field", "data.skip_bad", "data.allow_invalid_utf8",
      "data.train_on_prompt"};
  std::vector<std::string> of_files = reading;
  of_files.push_back("data.chat_template");
  return {
      // A file may be meant for data that a flag names, as config/shakespeare_char.yaml is.
      {of_files,
       {"data.path"},
       [](const RunConfig& c) { return tells_stories(c) && !c.for_later; },
       "with the built-in stories",
       "it is about the files that --data-path names",
       {"none"},
       FieldOrigin::by_environment},
      {reading,
       {"data.path", "data.validation_path"},
       reads_only_tokens,
       "with a prepared dataset",
       "give it to prepare-data"},
      {{"data.format"},
       {"data.use_lmsys_dataset"},
       [](const RunConfig& c) { return c.data.use_lmsys_dataset; },
       "",
       "the rows are those of LMSYS-Chat-1M",
       {"lmsys"}},
      {{"data.split", "data.allow_invalid_utf8"},
       {"data.format", "data.use_lmsys_dataset"},
       reads_json_rows,
       "with rows of JSON",
       "it is about plain text"},
      {{"data.field", "data.skip_bad", "data.train_on_prompt"},
       {"data.format"},
       reads_lines,
       "",
       "it is about rows of JSON"},
      {{"data.train_on_prompt"},
       {"data.field"},
       reads_one_field,
       "",
       "the text of one field is no conversation"},
  };
}

/// Which texts or datasets there are, and what validates.
Rules set_rules() {
  return {
      {{"data.synthetic_stories", "data.synthetic_seed"},
       {"data.path", "data.use_lmsys_dataset"},
       [](const RunConfig& c) { return !tells_stories(c); },
       "with data of your own",
       "the built-in stories read it, which a run without --data-path learns"},
      {{"data.validation_path", "data.val_split"},
       {"data.path"},
       [](const RunConfig& c) { return tells_stories(c) && !c.for_later; },
       "with the built-in stories",
       "--val-fraction says how many stories are kept for validation",
       {},
       FieldOrigin::by_environment},
      {{"data.val_fraction", "data.val_split"},
       {"data.validation_path"},
       [](const RunConfig& c) { return !c.data.validation_path.empty() && !tells_stories(c); },
       "",
       "nothing is split off the training data",
       {"0.0"}},
      {{"data.val_fraction", "data.val_split"},
       {"data.path"},
       is_prepared,
       "with a prepared dataset",
       "give it to prepare-data",
       {"0.0"}},
      {{"data.val_split"},
       {"data.val_fraction"},
       [](const RunConfig& c) { return c.data.text.val_fraction == 0; },
       "",
       "nothing is split off the training data"},
      {{"data.use_lmsys_dataset"},
       {"data.path"},
       is_prepared,
       "with a prepared dataset",
       "give --format lmsys to prepare-data"},
      {{"data.shift_windows"},
       {"training.rows"},
       [](const RunConfig& c) { return c.training.rows != "windows"; },
       "",
       "rows of whole documents have no offset"},
  };
}

}  // namespace

bool has_validation(const RunConfig& c) {
  if (tells_stories(c)) return c.data.text.val_fraction > 0;
  if (!c.data.validation_path.empty()) return true;
  return is_prepared(c) ? is_token_file(validation_prefix(token_file_prefix(c.data.path[0])))
                        : c.data.text.val_fraction > 0;
}

std::vector<RunRule> data_rules() { return joined({text_rules(), chat_rules(), set_rules()}); }

}  // namespace llm
