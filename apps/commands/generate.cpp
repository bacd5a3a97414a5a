// llm generate: text after a prompt, from any model directory.
#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/commands.h"
#include "apps/generate_config.h"
#include "apps/generation_rules.h"
#include "apps/text_model.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "serving/autoregressive.h"
#include "serving/generation_config.h"
#include "serving/http/api/answer_json.h"
#include "tokenizer/chat_prompt.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The prompts, in the order of the results.
struct Prompt {
  std::string text;
  std::vector<int32_t> ids;
};

std::string read_all(const std::string& path) {
  if (path == "-") {
    std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
    if (std::ferror(stdin) != 0) fail_errno("cannot read standard input", Exit::io);
    return text;
  }
  std::error_code unused;
  check(!fs::is_directory(path, unused), "'{}' is a directory, expected a file of prompts", path);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_errno(fmt::format("cannot open prompts '{}'", path), Exit::usage);
  return rest_of(file, fmt::format("prompts '{}'", path));
}

std::vector<Prompt> read_prompts(const GenerateConfig& config) {
  check(!config.prompt || config.prompt_file.empty(),
        "--prompt and --prompt-file cannot be used together");
  if (config.prompt && *config.prompt != "-") return {{*config.prompt, {}}};
  if (config.prompt) {
    std::string text = read_all("-");
    if (text.ends_with('\n')) text.pop_back();  // the shell's, not the prompt's
    return {{std::move(text), {}}};
  }
  if (config.prompt_file.empty())
    fail(Exit::usage, "--prompt is required",
         "--prompt TEXT, --prompt - for standard input, or --prompt-file FILE");
  std::vector<Prompt> prompts;
  const std::string text = read_all(config.prompt_file);
  const size_t begin = text.starts_with("\xEF\xBB\xBF") ? 3 : 0;  // a byte order mark is no text
  for (size_t at = begin; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) prompts.push_back({std::move(line), {}});
    at = end + 1;
  }
  check(!prompts.empty(), "'{}' holds no prompt: one per line is expected", config.prompt_file);
  return prompts;
}

FrozenGenerationConfig settle(const GenerateConfig& config, const Fields& fields,
                              const TextModel& model) {
  GenerationConfig generation = with_model_defaults(config.generation, model, fields);
  refuse_idle_settings(fields, config.generation, generation);
  generation.seed = config.runtime.seed;
  return freeze_for(model, std::move(generation));
}

Json json_of(const Prompt& prompt, const GenerationResult& result,
             const GenerationConfig& generation) {
  Json json;
  json["prompt"] = prompt.text;
  json["prompt_token_ids"] = prompt.ids;
  if (generation.return_text) json["text"] = result.text;
  json["token_ids"] = result.token_ids;
  json["finish_reason"] = finish_reason_name(result.finish_reason);
  json["seed"] = result.seed;
  if (result.prompt_tokens_dropped > 0)
    json["prompt_tokens_dropped"] = result.prompt_tokens_dropped;
  if (generation.num_beams > 1) json["score"] = result.score;
  if (generation.num_speculative_tokens > 0)
    json["speculation"] = {{"drafted", result.tokens_drafted},
                           {"accepted", result.tokens_accepted}};
  if (generation.top_logprobs > 0) json["top_logprobs"] = api::top_logprobs_json(result);
  if (generation.return_logprobs) json["logprobs"] = result.logprobs;
  if (generation.return_probs) json["probs"] = result.probabilities;
  if (generation.return_input_logprobs) json["prompt_logprobs"] = result.input_logprobs;
  const GenerationTiming& timing = result.timing;
  json["timing"] = {{"ttft_ms", timing.ttft_ms},
                    {"tpot_ms", api::tpot_json(result)},
                    {"total_ms", timing.total_ms},
                    {"prompt_tokens_per_second", timing.prompt_tokens_per_second},
                    {"tokens_per_second", timing.tokens_per_second}};
  return json;
}

/// One line of numbers on stderr for everything that was generated.
void log_speed(std::span<const Prompt> prompts, std::span<const GenerationResult> results,
               size_t per_prompt) {
  double total_ms = 0, prompt_rate = 0;
  size_t prompt_tokens = 0, new_tokens = 0;
  for (size_t i = 0; i < results.size(); ++i) {
    total_ms = std::max(total_ms, results[i].timing.total_ms);
    prompt_rate += results[i].timing.prompt_tokens_per_second / static_cast<double>(results.size());
    prompt_tokens += prompts[i / per_prompt].ids.size();
    new_tokens += results[i].token_ids.size();
  }
  const double rate = results.size() == 1 ? results[0].timing.tokens_per_second
                      : total_ms > 0      ? 1e3 * static_cast<double>(new_tokens) / total_ms
                                          : 0;
  log_info("prompt {} tokens, {:.0f} tok/s | new {} tokens, {:.1f} tok/s | {:.2f} s | seed {}",
           prompt_tokens, prompt_rate, new_tokens, rate, total_ms / 1e3, results.front().seed);
}

/// Writes prompt and pieces as they come; nothing before the first, so that a refused request
/// leaves stdout empty.
std::function<bool(const TokenEvent&)> stream_to_stdout(const Prompt& prompt,
                                                        const StopSignal& stop) {
  return [&prompt, &stop, started = false](const TokenEvent& event) mutable {
    if (!std::exchange(started, true)) write_stdout("Generated: " + prompt.text);
    write_stdout(event.text);
    if (event.id < 0) write_stdout("\n");
    flush_stdout();
    return !stop.requested();
  };
}

void print_results(const GenerateConfig& config, const GenerationConfig& generation,
                   std::span<const Prompt> prompts, std::span<const GenerationResult> results,
                   size_t per_prompt) {
  if (config.json) {
    Json all = Json::array();
    for (size_t i = 0; i < results.size(); ++i)
      all.push_back(json_of(prompts[i / per_prompt], results[i], generation));
    write_stdout(
        (results.size() == 1 ? all[0] : all).dump(2, ' ', false, Json::error_handler_t::replace) +
        "\n");
    return;
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const std::string& text = results[i].text;
    write_stdout(fmt::format("Generated: {}\n",
                             generation.return_text
                                 ? prompts[i / per_prompt].text + text
                                 : fmt::format("{}", fmt::join(results[i].token_ids, " "))));
  }
}

std::vector<GenerationRequest> make_requests(std::vector<Prompt>& prompts,
                                             const FrozenGenerationConfig& generation,
                                             const TextModel& model,
                                             const std::shared_ptr<const Constraint>& constraint,
                                             const StopSignal& stop) {
  std::vector<std::vector<int32_t>> ids;
  for (Prompt& prompt : prompts) {
    if (stop.requested()) return {};
    ids.push_back(prompt.ids = encode_prompt(*model.tokenizer, prompt.text));
  }
  std::vector<GenerationRequest> requests = text_requests(ids, generation, model);
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);  // those that wait, too
  for (GenerationRequest& request : requests) {
    request.cancelled = cancelled;
    request.on_token = [&stop, cancelled](const TokenEvent&) {
      if (stop.requested()) cancelled->store(true);
      return !stop.requested();
    };
    request.constraint = constraint;
  }
  return requests;
}

int run(GenerateConfig& config, const Fields& fields) {
  check(!config.stream || !config.json, "--stream and --json cannot be used together");
  freeze(config.generation, {});  // what is wrong in any model is said before one is loaded
  std::vector<Prompt> prompts = read_prompts(config);
  const TextModel model = open_text_model(config.paths, config.runtime);
  const FrozenGenerationConfig generation = settle(config, fields, model);
  check(!config.stream || generation->num_beams == 1 || generation->num_return_sequences == 1,
        "--stream shows one text: --num-return-sequences 1 with --num-beams");
  const auto constraint =
      open_constraint(config.grammar, config.json_schema, model, generation->eos_token_id);
  const DraftModel draft = open_draft(config.draft_model_path, model, config.runtime);
  check(config.draft_model_path.empty() || generation->num_speculative_tokens > 0,
        "--draft-model-path needs --num-speculative-tokens");
  log_info("seed {}", generation.seed());

  const StopSignal stop;
  std::vector<GenerationRequest> requests =
      make_requests(prompts, generation, model, constraint, stop);
  const auto per_prompt = static_cast<size_t>(generation->num_return_sequences);
  std::vector<GenerationResult> results;
  const Autoregressive decoder(*model.loaded.model, config.stream ? 1 : config.batch_size,
                               draft.make);
  if (config.stream) {
    for (size_t i = 0; i < requests.size() && !stop.requested(); ++i) {
      requests[i].on_token = stream_to_stdout(prompts[i / per_prompt], stop);
      results.push_back(std::move(decoder.generate({&requests[i], 1})[0]));
    }
  } else {
    results = texts_in_order(decoder.generate(requests));
    print_results(config, *generation, prompts, results, per_prompt);
  }
  flush_stdout();
  if (!results.empty()) log_speed(prompts, results, per_prompt);  // else ended before the first
  return stop.exit_code();
}

}  // namespace

Command generate_command() {
  return make_command<GenerateConfig>(
      {.name = "generate",
       .summary = "Write text after a prompt",
       .details = "Prints `Generated: ` with prompt and text on stdout; everything else goes to "
                  "stderr. Settings that are not given come from the model's\n"
                  "generation_config.json, then from the defaults below. The same seed gives the "
                  "same text.\n\n"
                  "  llm generate checkpoints --prompt \"Once upon a time\" --stream\n"
                  "  llm generate --model-path DIR --prompt-file prompts.txt --json --max-tokens "
                  "32 --temperature 0\n",
       .positional = "model_path"},
      run);
}

}  // namespace llm
