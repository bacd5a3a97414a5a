// llm generate: text after a prompt, from any model directory.
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/commands.h"
#include "apps/model_files.h"
#include "apps/torch_side.h"
#include "base/device.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/number_text.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "model/model_path.h"
#include "model/weight_files.h"
#include "serving/autoregressive.h"
#include "serving/generation_config.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct GenerateConfig {
  RuntimeConfig runtime;
  GenerationConfig generation;
  std::string model_path = "checkpoints";
  std::string tokenizer_path;
  std::optional<std::string> prompt;
  std::string prompt_file;
  int64_t batch_size = 8;
  bool stream = false;
  bool json = false;

  void fields(Fields& f) {
    f("model_path", model_path, "Run, checkpoint, model directory or .gguf file", non_empty())
        .flag("model-path")
        .flag_only()
        .value_name("DIR");
    f("tokenizer_path", tokenizer_path, "Tokenizer file, if the model directory has none")
        .flag("tokenizer-path")
        .flag_only()
        .value_name("FILE");
    f("prompt", prompt, "Text to go on from; - reads it from standard input")
        .flag("prompt")
        .flag_only()
        .when_empty("none")
        .value_name("TEXT");
    f("prompt_file", prompt_file, "One prompt per line; - is standard input")
        .flag("prompt-file")
        .flag_only()
        .value_name("FILE");
    f("batch_size", batch_size, "Prompts in flight together", in_range(1, 4096))
        .flag("batch-size")
        .flag_only();
    f("stream", stream, "Print the text as it is written").flag("stream").flag_only();
    f("json", json, "Print JSON: text, token ids, finish reason, timing").flag("json").flag_only();
    f.section("", runtime);
    f.override_default("seed", "-1");
    f.section("generation", generation, "Length, sampling, stopping");
    f.ignore({"model", "tokenizer", "data", "training", "optimizer", "scheduler", "checkpoint",
              "distributed"});  // so that a run config can be given
    f.show_only({"", "generation"});
  }
};

/// The prompts, in the order of the results.
struct Prompt {
  std::string text;
  std::vector<int32_t> ids;
};

std::string read_all(const std::string& path) {
  if (path == "-")
    return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  std::error_code unused;
  check(!fs::is_directory(path, unused), "'{}' is a directory, expected a file of prompts", path);
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_errno(fmt::format("cannot open prompts '{}'", path), Exit::usage);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) fail_errno(fmt::format("cannot read prompts '{}'", path), Exit::io);
  return text;
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
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) prompts.push_back({std::move(line), {}});
    at = end + 1;
  }
  check(!prompts.empty(), "'{}' holds no prompt: one per line is expected", config.prompt_file);
  return prompts;
}

/// A tokenizer given on the command line may leave rows of the embedding unused, as padding does,
/// but not fewer or more of them than the model's own one.
void check_given_tokenizer(const Tokenizer& given, const fs::path& model, int64_t rows) {
  check_vocabulary(given, rows);
  if (!has_tokenizer(model)) return;
  if (given.vocab_size() == open_model_tokenizer(model, "")->vocab_size()) return;
  fail(Exit::bad_input,
       fmt::format("tokenizer has {} pieces, checkpoint embedding has {} rows", given.vocab_size(),
                   rows),
       "the model has a tokenizer of its own: leave out --tokenizer-path");
}

void encode_prompts(std::vector<Prompt>& prompts, const Tokenizer& tokenizer) {
  for (Prompt& prompt : prompts) {
    prompt.ids = tokenizer.with_template(tokenizer.encode(prompt.text));
    if (prompt.ids.empty())
      prompt.ids.push_back(
          tokenizer
              .eos_id());  // an empty prompt stands where one document ended and the next begins
  }
}

FrozenGenerationConfig settle(const GenerateConfig& config, const Fields& fields,
                              const LoadedTokenModel& loaded, const Tokenizer& tokenizer) {
  GenerationConfig generation = config.generation;
  adopt_model_defaults_from(generation, loaded.directory, [&](std::string_view key) {
    return fields.is_set(fmt::format("generation.{}", key));
  });
  const auto add_eos = [&](int64_t id) {
    const auto& ids = generation.eos_token_id;
    if (id >= 0 && id < loaded.config.vocab_size &&
        std::find(ids.begin(), ids.end(), id) == ids.end())
      generation.eos_token_id.push_back(id);
  };
  add_eos(tokenizer.eos_id());
  if (!generation.pad_token_id && tokenizer.pad_id() >= 0)
    generation.pad_token_id = tokenizer.pad_id();
  generation.seed = config.runtime.seed;
  std::vector<std::string> warnings;
  FrozenGenerationConfig frozen = freeze(generation,
                                         {.vocab_size = loaded.config.vocab_size,
                                          .context_length = loaded.config.max_position_embeddings},
                                         &warnings);
  for (const std::string& warning : warnings) log_warn("{}", warning);
  return frozen;
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
  if (generation.return_logprobs) json["logprobs"] = result.logprobs;
  if (generation.return_probs) json["probs"] = result.probabilities;
  if (generation.return_input_logprobs) json["prompt_logprobs"] = result.input_logprobs;
  const GenerationTiming& timing = result.timing;
  json["timing"] = {{"ttft_ms", timing.ttft_ms},
                    {"tpot_ms", timing.tpot_ms},
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

/// Without LibTorch where that is possible.
LoadedTokenModel load(const fs::path& directory, const RuntimeConfig& runtime,
                      const Fields& fields) {
  const std::vector<MappedFile> weights = map_weight_files(directory);
  const TokenModelOptions options{.device = runtime.device,
                                  .dtype = runtime.dtype,
                                  .threads = static_cast<int>(runtime.threads)};
  if (auto packed = load_packed_model(directory, options)) return std::move(*packed);
  const TorchSide& torch = torch_side();
  torch.set_threads(fields);
  return torch.load_token_model(directory, options);
}

int run(GenerateConfig& config, const Fields& fields) {
  check(!config.stream || !config.json, "--stream and --json cannot be used together");
  freeze(config.generation, {});  // what is wrong in any model is said before one is loaded
  std::vector<Prompt> prompts = read_prompts(config);
  const std::filesystem::path directory = resolve_model_path(config.model_path);
  // Beside the weights; what is wrong with those is said first.
  auto opening = std::async(std::launch::async,
                            [&] { return open_model_tokenizer(directory, config.tokenizer_path); });
  const LoadedTokenModel loaded = load(directory, config.runtime, fields);
  const auto tokenizer = opening.get();
  if (config.tokenizer_path.empty())
    check_vocabulary(*tokenizer, loaded.config.vocab_size);
  else
    check_given_tokenizer(*tokenizer, loaded.directory, loaded.config.vocab_size);
  const FrozenGenerationConfig generation = settle(config, fields, loaded, *tokenizer);
  encode_prompts(prompts, *tokenizer);
  log_info("model {} | {} parameters, {} on {} | seed {}", loaded.directory.string(),
           human_count(loaded.parameters), loaded.dtype, loaded.device, generation.seed());
  if (!loaded.packed) log_debug("plain decoding: {}", loaded.why_not_packed);

  const StopSignal stop;
  std::vector<GenerationRequest> requests;
  const auto per_prompt = static_cast<size_t>(generation->num_return_sequences);
  for (const Prompt& prompt : prompts) {
    for (size_t sequence = 0; sequence < per_prompt; ++sequence) {
      GenerationRequest request;
      request.prompt_ids = prompt.ids;
      request.config = generation;
      request.sequence = static_cast<int64_t>(sequence);
      request.token_bytes = [&tokenizer](int32_t id) {
        // A row that only pads the embedding stands for no text.
        return id < tokenizer->vocab_size() ? std::string(tokenizer->token_bytes(id)) : "";
      };
      request.on_token = [&stop](const TokenEvent&) { return !stop.requested(); };
      requests.push_back(std::move(request));
    }
  }
  std::vector<GenerationResult> results;
  const Autoregressive decoder(*loaded.model, config.stream ? 1 : config.batch_size);
  if (config.stream) {
    for (size_t i = 0; i < requests.size() && !stop.requested(); ++i) {
      requests[i].on_token = stream_to_stdout(prompts[i / per_prompt], stop);
      results.push_back(std::move(decoder.generate({&requests[i], 1})[0]));
    }
  } else {
    results = decoder.generate(requests);
    print_results(config, *generation, prompts, results, per_prompt);
  }
  flush_stdout();
  log_speed(prompts, results, per_prompt);
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
