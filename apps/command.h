// A subcommand: a config struct and a function.
//
//   struct GreetConfig { std::string name = "you"; void fields(Fields& f) { f("name", name, "Whom
//   to greet").flag("name"); } }; int greet(GreetConfig& config, const Fields& fields) {
//   write_stdout("Hello " + config.name + "\n"); return 0; } Command greet_command() { return
//   make_command<GreetConfig>({.name = "greet", .summary = "Say hello"}, greet); }
//
// The rows of the struct become flags, config keys, variables and help (base/config.h). Rows that
// every verb has (device dtype threads seed logging.*) are added where the struct does not declare
// them itself; --config, --print-config and --help are handled here. `run` returns the exit code;
// errors are thrown. To add a verb: apps/commands/<verb>.cpp, its declaration in apps/commands.h,
// one line in the table of apps/llm.cpp or, where its includes reach LibTorch, of
// apps/torch_commands.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/config.h"

namespace llm {

struct CommandText {
  std::string name;
  std::vector<std::string> aliases = {};
  std::string summary;       // one line, for `llm --help`
  std::string details = {};  // below the summary in `llm VERB --help`: examples, limits
  std::string positional =
      {};  // path of the row that takes bare words: "model_path"; a list row takes all of them
  bool computes_here = true;  // false: it only writes settings down, and --device may be elsewhere
};

struct Command {
  CommandText text;
  std::function<void(Fields&)> fields;
  std::function<int(const Fields&)> run;
  /// What --print-config prints, if not the rows as they were given.
  std::function<std::string(const Fields&)> print_config = {};
};

template <typename Config>
Command make_command(CommandText text, int (*run)(Config&, const Fields&),
                     std::shared_ptr<Config> config = std::make_shared<Config>()) {
  return {std::move(text),
          [config](Fields& fields) { config->fields(fields); },
          [config, run](const Fields& fields) { return run(*config, fields); },
          {}};
}

/// `defaults` is where values start from; the struct lives as long as the command.
template <typename Config>
Command make_command(CommandText text, int (*run)(Config&, const Fields&), Config defaults) {
  return make_command<Config>(std::move(text), run, std::make_shared<Config>(std::move(defaults)));
}

/// Runs `llm <arguments>` and returns the exit code. Throws Error. Writes results to stdout and
/// help asked for by mistake to stderr.
int run_program(const std::vector<Command>& commands, const std::vector<std::string>& arguments);

/// The verbs, of which `word` is wanted (empty: none); they may be all or those that it needs.
using CommandTable = std::function<std::vector<Command>(const std::string& word)>;

/// run_program with everything that main owes the user: standard descriptors, signals, error lines,
/// checked stdout.
int run_main(const CommandTable& table, int argc, char** argv);

/// By name or alias; nullptr if there is none.
const Command* find_command(const std::vector<Command>& commands, const std::string& name);

/// The options of `command` as a Fields object would have them, without parsing anything; for help
/// and completion.
void declare_options(const Command& command, Fields& fields, struct SharedOptions& shared);

}  // namespace llm
