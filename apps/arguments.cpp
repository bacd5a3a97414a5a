#include "apps/arguments.h"

#include <algorithm>

#include "base/nearest_name.h"

namespace llm {
namespace {

bool is_option(const std::string& argument) {
  return argument.size() > 2 && argument.starts_with("--");
}

std::string with_dashes(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// Walks the arguments; `next` is the one not yet looked at.
class ArgumentParser {
 public:
  ArgumentParser(const std::vector<std::string>& arguments, const Fields& fields)
      : arguments_(arguments), fields_(fields) {}

  Arguments parse() {
    while (next_ < arguments_.size()) {
      const std::string& argument = arguments_[next_++];
      if (argument == "--") {
        out_.words.insert(out_.words.end(), arguments_.begin() + static_cast<ptrdiff_t>(next_),
                          arguments_.end());
        break;
      }
      if (is_option(argument)) {
        option(argument.substr(2));
      } else if (argument == "-h") {
        out_.help = true;
      } else if (argument.size() == 2 && argument[0] == '-' &&
                 fields_.find_flag(argument.substr(1)) != nullptr) {
        option(argument.substr(1));  // -p is --p where a verb has that
      } else if (argument.size() > 1 && argument[0] == '-') {
        fail(Exit::usage, "unknown option " + argument, flag_hint(argument.substr(1), fields_));
      } else {
        out_.words.push_back(argument);
      }
    }
    return std::move(out_);
  }

 private:
  void option(const std::string& text) {
    const size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    std::optional<std::string> attached;
    if (equals != std::string::npos) {
      attached = text.substr(equals + 1);
    }
    const std::string spelled = with_dashes(name);
    if (spelled == "help") {
      out_.help = true;
    } else if (spelled == "print-config") {
      out_.print_config = switch_value(attached) == "true";
    } else if (spelled == "config") {
      const std::string path = attached ? *attached : scalar_value(name);
      if (out_.config_path) {
        fail(Exit::usage,
             fmt::format("--config given twice ({}, then {})", *out_.config_path, path));
      }
      out_.config_path = path;
    } else {
      field_option(name, attached);
    }
  }

  void field_option(const std::string& name, const std::optional<std::string>& attached) {
    const Field* row = fields_.find_flag(name);
    if (row == nullptr) {
      fail(Exit::usage, "unknown option --" + name, flag_hint(name, fields_));
    }
    std::vector<std::string> values;
    if (attached) {
      values.push_back(*attached);
    } else if (row->is_bool()) {
      values.push_back(switch_value(attached));
    } else {
      values.push_back(scalar_value(name));
    }
    while (row->is_list() && !attached && next_ < arguments_.size() &&
           !is_option(arguments_[next_]) && arguments_[next_] != "--") {
      values.push_back(arguments_[next_++]);
    }
    if (row->is_list()) {
      for (Arguments::Given& given : out_.flags) {
        if (fields_.find_flag(given.name) == row) {  // a list may be given in parts
          given.values.insert(given.values.end(), values.begin(), values.end());
          return;
        }
      }
    }
    out_.flags.push_back({name, std::move(values)});
  }

  std::string switch_value(const std::optional<std::string>& attached) {
    if (attached) {
      return *attached;
    }
    if (next_ < arguments_.size() &&
        (arguments_[next_] == "true" || arguments_[next_] == "false")) {
      return arguments_[next_++];
    }
    return "true";
  }

  std::string scalar_value(const std::string& name) {
    if (next_ >= arguments_.size() || is_option(arguments_[next_])) {
      const bool is_end = next_ >= arguments_.size();
      fail(Exit::usage, fmt::format("--{} needs a value", name),
           is_end ? "" : fmt::format("a value that begins with -- is written --{}=VALUE", name));
    }
    return arguments_[next_++];
  }

  const std::vector<std::string>& arguments_;
  const Fields& fields_;
  size_t next_ = 0;
  Arguments out_;
};

}  // namespace

Arguments parse_arguments(const std::vector<std::string>& arguments, const Fields& fields) {
  return ArgumentParser(arguments, fields).parse();
}

std::string flag_hint(const std::string& name, const Fields& fields) {
  const std::string wanted = with_dashes(name);
  std::vector<std::string> known = fields.flag_names();
  known.insert(known.end(), {"config", "print-config", "help"});
  if (const std::optional<std::string> near = nearest_name(wanted, known)) {
    return fmt::format("did you mean --{}?", *near);
  }
  // Not a misspelling of a whole name; perhaps of a part of one: --stesp, --steps for --max-steps.
  std::vector<std::string> parts;
  for (const std::string& flag : known) {
    for (size_t begin = 0; begin < flag.size();) {
      const size_t end = std::min(flag.find_first_of("-.", begin), flag.size());
      parts.push_back(flag.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  const std::optional<std::string> part = nearest_name(wanted, parts);
  std::string listed;
  int count = 0;
  for (const std::string& flag : known) {
    if (part && flag.find('.') == std::string::npos &&
        ("-" + flag + "-").find("-" + *part + "-") != std::string::npos && count < 4) {
      listed += fmt::format("{}--{}", count == 0 ? "" : ", ", flag);
      ++count;
    }
  }
  return listed.empty() ? "" : fmt::format("did you mean {}?", listed);
}

}  // namespace llm
