// llm chat: a conversation with any model directory.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <utility>

#include "apps/chat_input.h"
#include "apps/chat_loop.h"
#include "apps/chat_session.h"
#include "apps/commands.h"
#include "apps/generation_rules.h"
#include "apps/text_model.h"
#include "base/error.h"
#include "base/log.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {
namespace {

constexpr int64_t kReplyTokens = 512;  // where nobody says how long a reply may be

struct ChatConfig {
  RuntimeConfig runtime;
  GenerationConfig generation;
  TextModelPaths paths;
  std::string chat_template, draft_model_path, system;
  std::optional<std::string> prompt;
  bool json = false;

  void fields(Fields& f);
  static const std::vector<KeyRule<ChatConfig>>& rules();
};

const std::vector<KeyRule<ChatConfig>>& ChatConfig::rules() {
  const auto always = [](const ChatConfig&) { return true; };
  static const std::vector<KeyRule<ChatConfig>> all = {
      {{"generation.return_probs", "generation.return_logprobs", "generation.return_input_logprobs",
        "generation.top_logprobs"},
       {"json"},
       [](const ChatConfig& c) { return !c.json; },
       "without --json",
       "--json reports it"},
      {{"generation.return_text"}, {}, always, "in a chat", "a reply is its text"},
      {{"generation.length_penalty", "generation.early_stopping"},
       {},
       always,
       "in a chat",
       "a reply is found without beams"},
  };
  return all;
}

void ChatConfig::fields(Fields& f) {
  declare_model_rows(f, paths);
  f("chat_template", chat_template, "Jinja file in place of the model's own chat template")
      .flag("chat-template")
      .flag_only()
      .value_name("FILE");
  f("system", system, "System message").flag("system").flag_only().value_name("TEXT");
  f("prompt", prompt, "One message, its reply, and out (-p TEXT); - reads it from standard input")
      .flag("prompt")
      .flag("p")
      .flag_only()
      .when_empty("none")
      .value_name("TEXT");
  f("draft_model_path", draft_model_path,
    "Smaller model that guesses ahead; without it what was said before is looked up")
      .flag("draft-model-path")
      .flag_only()
      .value_name("DIR");
  f("json", json, "Print one JSON object per reply: text, token ids, finish reason, timing")
      .flag("json")
      .flag_only();
  f.section("", runtime);
  f.override_default("seed", "-1");
  f.section("generation", generation, "Length, sampling, stopping");
  show_generation_rows(f);
  f.hide({"generation.num_beams", "generation.num_return_sequences"});
  for (const KeyRule<ChatConfig>& rule : rules()) {
    if (rule.decided_by.empty()) f.hide(rule.keys);
  }
  f.cross_check("json", [this, &f, defaults = texts_of(f)] {
    refuse_idle_keys(f, rules(), *this, defaults);
    refuse_idle_settings(f, generation);
    return std::string();
  });
}

void check_chat(const ChatConfig& config) {
  freeze(config.generation, {});  // what is wrong in any model is said before one is loaded
  check(config.generation.num_beams == 1,
        "--num-beams: a chat has one reply at a time, not {} beams", config.generation.num_beams);
  check(config.generation.num_return_sequences == 1,
        "--num-return-sequences: a chat has one reply at a time, not {}; /regen gives another",
        config.generation.num_return_sequences);
  check(config.draft_model_path.empty() || config.generation.num_speculative_tokens > 0,
        "--draft-model-path needs --num-speculative-tokens");
  ChatLoop::check_text(config.system, "--system");
}

FrozenGenerationConfig settle_chat(const ChatConfig& config, const Fields& fields,
                                   const TextModel& model) {
  GenerationConfig generation = config.generation;
  if (!fields.is_set("generation.max_new_tokens")) {
    const int64_t context = model.loaded.model->context_length();
    generation.max_new_tokens =
        context > 0 ? std::max<int64_t>(1, std::min(kReplyTokens, context / 2)) : kReplyTokens;
  }
  generation = with_model_defaults(generation, model, fields);
  generation.num_beams = 1;  // of the model's own settings
  generation.num_return_sequences = 1;
  refuse_idle_settings(fields, config.generation, generation);
  generation.seed = config.runtime.seed;
  return freeze_for(model, std::move(generation));
}

ChatTranscript open_transcript(const ChatConfig& config, const TextModel& model) {
  const std::filesystem::path& directory = model.loaded.directory;
  std::optional<ChatTemplate> chat_template;
  if (!config.chat_template.empty()) {
    chat_template = ChatTemplate::load_file(config.chat_template, directory,
                                            special_tokens_of(*model.tokenizer));
  } else {
    chat_template = open_chat_template(directory, *model.tokenizer);
  }
  if (!chat_template)
    log_warn("this model has no chat template: it goes on from what was said as plain text");
  ChatTranscript transcript(ChatPrompts(*model.tokenizer, std::move(chat_template)));
  transcript.system = config.system;
  return transcript;
}

std::string one_message(const ChatConfig& config) {
  std::string message = *config.prompt;
  if (message == "-") {
    message.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
    if (message.ends_with('\n')) message.pop_back();
  }
  ChatLoop::check_text(message, "--prompt");
  return message;
}

int run(ChatConfig& config, const Fields& fields) {
  check_chat(config);
  const std::string message = config.prompt ? one_message(config) : "";
  const TextModel model = open_text_model(config.paths, config.runtime);
  const FrozenGenerationConfig generation = settle_chat(config, fields, model);
  const DraftModel draft = open_draft(config.draft_model_path, model, config.runtime);
  ChatSession session(model, open_transcript(config, model), generation, draft);
  log_info("seed {}", generation.seed());

  StopSignal stop;
  ChatLoop loop(session, stop,
                {.json = config.json,
                 .json_fields = {.logprobs = generation->return_logprobs,
                                 .top_logprobs = generation->top_logprobs > 0,
                                 .probs = generation->return_probs,
                                 .input_logprobs = generation->return_input_logprobs}});
  if (config.prompt) {
    loop.say(message);
    return stop.exit_code();
  }
  const auto input = open_chat_input(stop);
  if (input->is_terminal())
    log_info("/help lists the commands; Ctrl+C stops a reply, Ctrl+D leaves");
  return loop.run(*input);
}

}  // namespace

Command chat_command() {
  return make_command<ChatConfig>(
      {.name = "chat",
       .summary = "Talk with a model",
       .details = "Reads messages from the terminal, or one per line from a pipe; replies go to "
                  "stdout, everything else to stderr. Commands begin\n"
                  "with a slash: /help lists them. Settings that are not given come from the "
                  "model's generation_config.json, then from\n"
                  "the defaults below, but a reply may take 512 tokens (at most half the "
                  "context).\n\n"
                  "  llm chat checkpoints\n"
                  "  llm chat checkpoints -p \"Tell me a story\" --temperature 0.7 --seed 1\n",
       .positional = "model_path"},
      run);
}

}  // namespace llm
