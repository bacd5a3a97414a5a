#include "apps/run_chat_template.h"

#include "apps/absolute_text.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/log.h"
#include "data/token_file.h"
#include "model/model_path.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
constexpr const char* kTemplateFile = "chat_template.jinja";

/// The template that a prepared dataset was made with; empty where there is none to know.
fs::path template_of_dataset(const DataConfig& data) {
  if (data.path.size() != 1 || !is_token_file(data.path[0])) {
    return {};
  }
  const fs::path kept = dataset_template_path(token_file_prefix(data.path[0]));
  return fs::exists(kept) ? kept : fs::path();
}

/// A dataset's own template goes before every other that nobody named.
void adopt_template(DataConfig& data) {
  const fs::path kept = template_of_dataset(data);
  std::string& named = data.text.chat_template;
  if (kept.empty()) {
    return;
  }
  if (named == "auto") {
    named = kept.string();
  } else if (data.text.wants_chat_template() && read_file(named) != read_file(kept)) {
    fail(Exit::bad_input,
         fmt::format("'{}' was prepared with another chat template than '{}'", data.path[0], named),
         "leave --chat-template out, or prepare the data again");
  }
}

bool is_kept(const fs::path& file, const std::string& source) {
  return fs::exists(file) && read_file(file) == source;
}

}  // namespace

void RunChatTemplate::write() const {
  if (file.empty() || is_kept(file, format.chat_template->source())) return;
  make_directories(file.parent_path());
  write_file_atomically(file, format.chat_template->source());
}

RunChatTemplate choose_chat_template(RunConfig& run, const Tokenizer& tokenizer,
                                     const std::optional<ResumeChoice>& start) {
  adopt_template(run.data);
  const std::string& base = run.checkpoint.model_path;
  RunChatTemplate chosen;
  chosen.format = open_chat_format(run.data.text, tokenizer,
                                   base.empty() ? fs::path() : resolve_model_path(base));
  if (!chosen.format.chat_template) {
    return chosen;
  }
  const std::string& source = chosen.format.chat_template->source();
  chosen.turn_end = turn_end(tokenizer, chosen.format);
  chosen.file = fs::path(run.checkpoint.output_dir) / "data" / kTemplateFile;
  if (!is_kept(chosen.file, source) && start && !run.checkpoint.allow_data_change) {
    fail(Exit::bad_input, "the run was made with another chat template",
         "--allow-data-change goes on with this one");
  }
  run.data.text.chat_template = absolute_text(chosen.file.string());
  return chosen;
}

bool add_chat_template(const RunChatTemplate& chat, const fs::path& data, RunTokenizer& tokenizer) {
  if (chat.file.empty() || !fs::exists(dataset_template_path(data))) {
    return false;
  }
  const auto is_template = [](const fs::path& file) { return file.filename() == kTemplateFile; };
  if (std::erase_if(tokenizer.files, is_template) == 0) {
    log_info("the model is given a chat template, {}", chat.file.string());
  }
  tokenizer.files.push_back(chat.file);
  return true;
}

}  // namespace llm
