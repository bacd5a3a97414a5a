// argv of one verb, taken apart with the help of its rows: which flags exist, which are switches,
// which take lists.
//
// `--name value`, `--name=value`, `--name` and `--name true|false` for switches, `--name a b c` or
// `--name a,b` for lists (up to the next --option);
// `--` ends the options. - and _ are the same in names. A value that begins with -- must be written
// --name=value. Throws Error(Exit::usage) with the messages of docs/reliability.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config.h"

namespace llm {

struct Arguments {
  struct Given {
    std::string name;  // without dashes
    std::vector<std::string> values;
  };
  std::vector<Given> flags;
  std::vector<std::string> words;  // bare ones
  std::optional<std::string> config_path;
  bool print_config = false;
  bool help = false;
};

Arguments parse_arguments(const std::vector<std::string>& arguments, const Fields& fields);

/// "did you mean --max-steps?" for a flag that does not exist.
std::string flag_hint(const std::string& name, const Fields& fields);

}  // namespace llm
