#include "apps/command.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/program_error.h"
#include "apps/shared_options.h"
#include "apps/torch_side.h"
#include "base/config_node.h"
#include "base/error.h"
#include "base/file_io.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "model/hf_config.h"

namespace llm {
namespace {

std::string program_help(const std::vector<Command>& commands) {
  std::string out =
      "llm: train, run and examine language models\n\nUsage: llm COMMAND [options]\n\nCommands:\n";
  for (const Command& command : commands) {
    const std::string aliases = command.text.aliases.empty()
                                    ? ""
                                    : fmt::format(" ({})", fmt::join(command.text.aliases, ", "));
    out += fmt::format("  {:<28} {}\n", command.text.name + aliases, command.text.summary);
  }
  return out +
         "\nllm COMMAND --help lists the options of a command. Every option can also stand in the "
         "environment (LLM_LEARNING_RATE for --learning-rate),\n"
         "and settings that are not about one task alone (as --input, --output and --prompt are) "
         "in "
         "a config file (--config FILE).\n"
         "llm --version says what this build is.\n";
}

std::string command_help(const Command& command, const Fields& fields) {
  std::string words;
  if (const Field* row = fields.find(command.text.positional); row && !row->is_hidden()) {
    words = command.text.positional.substr(command.text.positional.rfind('.') + 1);
    std::transform(words.begin(), words.end(), words.begin(),
                   [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
    words = " [" + words + "]";
  }
  std::string out = fmt::format("llm {}: {}\n\nUsage: llm {}{} [options]\n", command.text.name,
                                command.text.summary, command.text.name, words);
  if (!command.text.details.empty()) {
    out += "\n" + command.text.details + (command.text.details.ends_with('\n') ? "" : "\n");
  }
  return out + "\n" + fields.help() +
         "\nFiles and help:\n"
         "  --config FILE                       Read keys from a YAML or JSON file\n"
         "  --print-config                      Print every key with its value and where that came "
         "from, and stop\n"
         "  --help                              Print this text\n";
}

std::vector<std::string> command_names(const std::vector<Command>& commands, bool with_aliases) {
  std::vector<std::string> names;
  for (const Command& command : commands) {
    names.push_back(command.text.name);
    if (with_aliases) {
      names.insert(names.end(), command.text.aliases.begin(), command.text.aliases.end());
    }
  }
  return names;
}

void apply_words(const Command& command, const std::vector<std::string>& words, Fields& fields) {
  if (words.empty()) {
    return;
  }
  const Field* row =
      command.text.positional.empty() ? nullptr : fields.find(command.text.positional);
  if (row == nullptr || (words.size() > 1 && !row->is_list())) {
    const std::string& extra = row == nullptr ? words[0] : words[1];
    fail(Exit::usage, fmt::format("unexpected argument '{}'", extra),
         fmt::format("llm {} --help lists the options", command.text.name));
  }
  const std::vector<std::string>& known = row->rule().choices;
  if (row->is_hidden() && std::find(known.begin(), known.end(), words[0]) == known.end()) {
    fail(Exit::usage, fmt::format("unexpected argument '{}'", words[0]),
         fmt::format("files are named by options; llm {} --help lists them", command.text.name));
  }
  fields.apply_flag(row->flag_name().substr(2), words);
}

/// A whole Hugging Face config.json; nothing where the file is something else.
std::optional<nlohmann::json> hf_config_in(const std::string& path) {
  std::error_code none;
  if (!std::filesystem::is_regular_file(path, none) ||
      std::filesystem::file_size(path, none) > kConfigBytes) {
    return std::nullopt;
  }
  const std::string text = read_file(path, {"config", kConfigBytes, Exit::usage});
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const bool whole =
      json.is_object() && json.contains("architectures") && json.contains("vocab_size");
  return whole ? std::optional(std::move(json)) : std::nullopt;
}

/// A Hugging Face config.json is read as its family reads it, everything else key by key. Returns
/// what is to be logged.
std::string apply_config_file(Fields& fields, const std::string& path) {
  const std::optional<nlohmann::json> hf_config = hf_config_in(path);
  if (!hf_config) {
    fields.apply_file(path);
    return {};
  }
  if (fields.find("model.vocab_size") == nullptr) {
    fail(Exit::usage,
         fmt::format("{} is the config.json of a model, and nothing in it is for this command",
                     path),
         "the shape of a model is read beside its weights, where --model-path is; pretrain and "
         "create-config take this file");
  }
  try {
    const HfRunConfig run = run_config_from_hf(*hf_config, path);
    fields.apply_text(run.text, path);
    return run.token_ids.empty()
               ? ""
               : fmt::format("{} says {}: a run takes those of its tokenizer", path, run.token_ids);
  } catch (const Error& error) {
    fail(Exit::usage, error.message(), error.hint());
  }
}

int run_command(const Command& command, const std::vector<std::string>& arguments) {
  Fields fields;
  SharedOptions shared;
  declare_options(command, fields, shared);
  const Arguments given = parse_arguments(arguments, fields);
  if (given.help) {
    write_stdout(command_help(command, fields));
    return 0;
  }
  const char* config_variable = std::getenv("LLM_CONFIG");
  std::string remark;
  if (given.config_path || (config_variable != nullptr && *config_variable != 0)) {
    remark = apply_config_file(fields, given.config_path ? *given.config_path : config_variable);
  }
  fields.apply_environment();
  for (const Arguments::Given& flag : given.flags) {
    fields.apply_flag(flag.name, flag.values);
  }
  apply_words(command, given.words, fields);
  fields.finish(given.print_config ? Completeness::partial : Completeness::whole);
  if (given.print_config) {
    write_stdout(command.print_config ? command.print_config(fields) : fields.print_config());
    return 0;
  }
  apply_shared_options(fields, command.text.computes_here);
  if (!remark.empty()) {
    log_info("{}", remark);
  }
  return command.run(fields);
}

[[noreturn]] void refuse_command(const std::vector<Command>& commands, const std::string& name) {
  if (name.starts_with("-")) {
    fail(Exit::usage, "unknown option " + name, "options follow the command: llm COMMAND " + name);
  }
  const std::string near = nearest_name_hint(name, command_names(commands, true));
  fail(Exit::usage, fmt::format("unknown command '{}'", name),
       near.empty()
           ? fmt::format("the commands are {}", fmt::join(command_names(commands, false), ", "))
           : near);
}

}  // namespace

const Command* find_command(const std::vector<Command>& commands, const std::string& name) {
  for (const Command& command : commands) {
    const std::vector<std::string>& aliases = command.text.aliases;
    if (command.text.name == name ||
        std::find(aliases.begin(), aliases.end(), name) != aliases.end()) {
      return &command;
    }
  }
  return nullptr;
}

void declare_options(const Command& command, Fields& fields, SharedOptions& shared) {
  command.fields(fields);
  shared.declare_missing(fields);
}

int run_program(const std::vector<Command>& commands, const std::vector<std::string>& arguments) {
  if (arguments.empty()) {
    std::fputs(program_help(commands).c_str(), stderr);
    fail(Exit::usage, "no command given",
         fmt::format("the commands are {}; see llm --help",
                     fmt::join(command_names(commands, false), ", ")));
  }
  const std::string& first = arguments.front();
  std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (first == "--version" || first == "version") {
    check(rest.empty(), "{} takes nothing more, got '{}'", first, fmt::join(rest, " "));
    write_stdout(torch_side().version_text());
    return 0;
  }
  if (first == "--help" || first == "-h" || first == "help") {
    if (rest.empty()) {
      write_stdout(program_help(commands));
      return 0;
    }
    rest.push_back("--help");
    return run_program(commands, rest);
  }
  const Command* command = find_command(commands, first);
  if (command == nullptr) {
    refuse_command(commands, first);
  }
  return run_command(*command, rest);
}

int run_main(const CommandTable& table, int argc, char** argv) {
  reserve_standard_descriptors();
  ignore_write_signals();
  try {
    const std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    const int code = run_program(table(arguments.empty() ? "" : arguments.front()), arguments);
    flush_stdout();
    return code;
  } catch (...) {
    return report_failure(error_in_flight());
  }
}

}  // namespace llm
