// llm completion: a script that teaches a shell the verbs and their options, made from the same
// table as the help.
#include <fmt/ranges.h>

#include "apps/commands.h"
#include "apps/shared_options.h"
#include "base/stdout.h"

namespace llm {
namespace {

struct CompletionConfig {
  std::string shell;
  const std::vector<Command>* commands = nullptr;

  void fields(Fields& f) {
    f("shell", shell, "The shell that will read the script", one_of({"bash", "zsh", "fish"}))
        .flag("shell")
        .flag_only()
        .required();
  }
};

std::vector<std::string> names_of(const Command& command) {
  std::vector<std::string> names{command.text.name};
  names.insert(names.end(), command.text.aliases.begin(), command.text.aliases.end());
  return names;
}

std::vector<std::string> options_of(const Command& command) {
  Fields fields;
  SharedOptions shared;
  declare_options(command, fields, shared);
  std::vector<std::string> options{"--config", "--print-config", "--help"};
  for (const std::string& flag : fields.flag_names()) {
    if (flag.find('.') == std::string::npos) {
      options.push_back("--" + flag);
    }
  }
  return options;
}

std::string bash_script(const std::vector<Command>& commands) {
  std::string verbs, cases;
  for (const Command& command : commands) {
    const std::vector<std::string> names = names_of(command);
    verbs += fmt::format("{} ", fmt::join(names, " "));
    cases += fmt::format("    {}) options=\"{}\" ;;\n", fmt::join(names, "|"),
                         fmt::join(options_of(command), " "));
  }
  return fmt::format(R"(# Completion of llm for bash. Use: source <(llm completion bash)
_llm() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" options=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{}--help --version" -- "$word"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{}  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}}
complete -o filenames -F _llm llm
)",
                     verbs, cases);
}

std::string fish_script(const std::vector<Command>& commands) {
  std::string out = "# Completion of llm for fish. Use: llm completion fish | source\n";
  for (const Command& command : commands) {
    for (const std::string& name : names_of(command)) {
      out += fmt::format("complete -c llm -n __fish_use_subcommand -a {} -d '{}'\n", name,
                         command.text.summary);
    }
    for (const std::string& option : options_of(command)) {
      out += fmt::format("complete -c llm -n '__fish_seen_subcommand_from {}' -l {}\n",
                         fmt::join(names_of(command), " "), option.substr(2));
    }
  }
  return out;
}

int print_script(CompletionConfig& config, const Fields&) {
  if (config.shell == "fish") {
    write_stdout(fish_script(*config.commands));
  } else {
    // zsh reads bash completions through its own adapter.
    const std::string adapter =
        config.shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
    write_stdout(adapter + bash_script(*config.commands));
  }
  return 0;
}

}  // namespace

Command completion_command(const std::vector<Command>& commands) {
  CompletionConfig config;
  config.commands = &commands;
  return make_command<CompletionConfig>(
      {.name = "completion",
       .summary = "Print a completion script for bash, zsh or fish",
       .details = "Example: source <(llm completion bash)",
       .positional = "shell"},
      print_script, config);
}

}  // namespace llm
