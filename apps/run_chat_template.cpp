#include "apps/run_chat_template.h"

#include "base/atomic_file.h"
#include "base/log.h"
#include "model/model_path.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
constexpr const char* kFileName = "chat_template.jinja";

}  // namespace

RunChatTemplate choose_chat_template(RunConfig& run, const Tokenizer& tokenizer) {
  const std::string& base = run.checkpoint.model_path;
  RunChatTemplate chosen;
  chosen.format = open_chat_format(run.data.text, tokenizer,
                                   base.empty() ? fs::path() : resolve_model_path(base));
  if (!chosen.format.chat_template) {
    return chosen;
  }
  chosen.turn_end = turn_end(tokenizer, chosen.format);
  chosen.file = fs::path(run.checkpoint.output_dir) / "data" / kFileName;
  make_directories(chosen.file.parent_path());
  write_file_atomically(chosen.file, chosen.format.chat_template->source());
  run.data.text.chat_template = absolute_text(chosen.file.string());
  return chosen;
}

void add_chat_template(const RunChatTemplate& chat, const TokenFile& data,
                       RunTokenizer& tokenizer) {
  if (chat.file.empty()) {
    return;
  }
  const bool made_here = chat.format.chat_template->source() == plain_chat_template();
  if (made_here && !chat.format.train_on_prompt && data.loss_mask() == nullptr) {
    return;  // texts, no conversations
  }
  if (made_here) {
    log_info("the model had no chat template: it is given a plain one, {}", chat.file.string());
  }
  std::erase_if(tokenizer.files, [](const fs::path& file) { return file.filename() == kFileName; });
  tokenizer.files.push_back(chat.file);
}

}  // namespace llm
