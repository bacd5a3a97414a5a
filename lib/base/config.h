// The config system: one struct per owner, one line per key.
//
//   struct OptimizerConfig {
//     double learning_rate = 1e-5;
//     std::string name = "adamw";
//     void fields(Fields& f) {
//       f("learning_rate", learning_rate, "Peak learning rate", in_range(0,
//       1)).flag("learning-rate").alias("lr"); f("name", name, "Optimizer", one_of({"adamw",
//       "lion"})).flag("optimizer-name");
//     }
//   };
//   struct RunConfig {
//     OptimizerConfig optimizer;
//     void fields(Fields& f) { f.section("optimizer", optimizer, "How weights are updated"); }
//   };
//
// From the one row come: the key of YAML and JSON files (optimizer.learning_rate, alias
// optimizer.lr), the flags --optimizer.learning_rate,
// --learning-rate, --lr (with - or _), the variables LLM_OPTIMIZER_LEARNING_RATE and
// LLM_LEARNING_RATE, the help line with its default, the check, the comment that create-config
// writes, the run record and the line of --print-config. Precedence: default < file < environment <
// flag.
//
// A Fields object collects the rows of config structs that live elsewhere: it holds references, so
// those structs must outlive it and must not move. Everything that is wrong throws
// Error(Exit::usage); the message names FILE:LINE:COL, the flag or the variable that the value came
// from. Not thread-safe; made and dropped on the main thread. Neither YAML nor command-line
// libraries are included here.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace llm {

/// What a value must satisfy besides its type. Bounds are inclusive unless said otherwise; for
/// lists the rule holds for each element.
struct FieldRule {
  std::optional<long double> low = {}, high = {};  // long double holds every int64 exactly
  bool low_excluded = false;
  std::vector<std::string> choices = {};
  bool not_empty = false;
  std::function<bool(const std::string&)> accepts =
      nullptr;                // of a text that is neither free nor one of a few
  std::string accepted = {};  // what it accepts, for messages: "auto, cpu, cuda, cuda:N"
};
FieldRule in_range(long double low, long double high);
FieldRule at_least(long double low);
FieldRule more_than(long double low);  // low itself is refused
FieldRule one_of(std::initializer_list<const char*> choices);
FieldRule one_of(std::vector<std::string> choices);
FieldRule non_empty();
FieldRule matching(std::function<bool(const std::string&)> accepts, std::string accepted);

/// A reference to a member. An empty optional means "decide by itself" and is written null in files
/// and `auto` or `none` on the command line.
using FieldValue =
    std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*,
                 std::vector<int64_t>*, std::vector<double>*, std::optional<bool>*,
                 std::optional<int64_t>*, std::optional<double>*, std::optional<std::string>*>;

struct FieldOrigin {
  enum Kind { by_default, by_command, by_file, by_environment, by_flag };
  Kind kind = by_default;
  std::string name;  // file path, variable or flag as written
  int line = 0, column = 0;
  /// Given with this command, not by a file, which may be of another run.
  bool is_order() const { return kind >= by_environment; }
  /// "default", "command", "run.yaml:3:5", "environment LLM_SEED", "--seed".
  std::string text() const;
};

/// One key. The calls return the row itself, so that they can be chained behind the declaration.
class Field {
 public:
  Field(std::string path, FieldValue value, std::string doc, FieldRule rule);

  /// A short flag, also a variable LLM_<NAME>. The first one given is the one that help and
  /// messages print.
  Field& flag(std::string name);
  /// Another spelling of the key itself: in files, as --section.alias, and as the short flag
  /// --alias.
  Field& alias(std::string name);
  Field& required();
  /// Not a key of config files and never written to them: --prompt, --output.
  Field& flag_only();
  /// Printed as *** and never written.
  Field& secret();
  /// Text lists only: commas do not separate (stop strings, file names).
  Field& verbatim();
  /// Names an existing file or folder, or the prefix of one with one of these suffixes; checked by
  /// Fields::finish() if not empty and not "-".
  Field& must_exist(std::vector<std::string> or_with_suffixes = {});
  /// What an empty optional is called in help: "auto" (at first), "off", "all".
  Field& when_empty(std::string word);
  /// The name of the value in help: FILE, DIR, N (chosen by type at first).
  Field& value_name(std::string word);
  /// Reached by its dotted flag, not listed in help.
  Field& hidden();
  bool is_hidden() const { return hidden_; }

  const std::string& path() const { return path_; }
  const std::string& doc() const { return doc_; }
  const FieldRule& rule() const { return rule_; }
  const FieldOrigin& origin() const { return origin_; }
  bool is_set() const {
    return origin_.kind != FieldOrigin::by_default;
  }  // by file, environment, flag or command
  bool is_list() const;
  bool is_bool() const;
  /// The value as a person would type it; lists joined by commas.
  std::string text() const;
  /// The same as Fields::apply_flag() takes it: one word, of a list one for each item.
  std::vector<std::string> words() const;
  /// The name that messages use: "--learning-rate", or "--optimizer.learning_rate" if there is no
  /// short flag.
  std::string flag_name() const;

 private:
  friend class Fields;
  friend struct FieldSetter;
  friend struct FileReader;
  friend struct ConfigWriter;
  std::string path_;
  FieldValue value_;
  std::string doc_;
  FieldRule rule_;
  FieldOrigin origin_;
  std::vector<std::string> flags_;
  std::vector<std::string> aliases_;
  std::string when_empty_ = "auto";
  std::string value_name_;
  std::vector<std::string> existing_suffixes_;
  bool required_ = false, flag_only_ = false, secret_ = false, verbatim_ = false,
       must_exist_ = false, hidden_ = false, short_flags_off_ = false;
};

struct ConfigNode;

enum class Completeness {
  whole,
  partial
};  // partial: keys and files may still be missing (--print-config)

class Fields {
 public:
  Fields();
  ~Fields();
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  // ---- declaring, called from a struct's fields() ----
  template <typename T>
  Field& operator()(std::string_view key, T& value, std::string_view doc, FieldRule rule = {}) {
    return add(key, FieldValue(&value), doc, std::move(rule));
  }
  /// The struct's rows under "name.". An empty name puts them at the level of the caller.
  template <typename Struct>
  void section(std::string_view name, Struct& config, std::string_view doc = {}) {
    const size_t depth = open_section(name, doc);
    config.fields(*this);
    close_section(depth);
  }
  /// Keys of this section that files may hold and that mean nothing here ("transformers_version").
  void ignore(std::initializer_list<const char*> keys);
  /// A rule over several keys, run by finish(): a non-empty result is the message, reported at the
  /// place where `key` (of this section) got its value.
  void cross_check(std::string_view key, std::function<std::string()> problem);
  /// Forgets the rules declared so far: for rows that only carry changes to be checked elsewhere,
  /// together with what they change.
  void drop_cross_checks() { cross_checks_.clear(); }
  /// A file whose top level holds keys of this section (and names no section) is read as this
  /// section. "model" if that section exists.
  void top_level_means(std::string section);
  /// Short flags and help only for rows of these sections ("" = the top level); the others stay as
  /// file keys and dotted flags.
  void show_only(const std::vector<std::string>& sections);
  /// The same for single rows: these paths keep their short flags although their section is not
  /// shown.
  void show_also(const std::vector<std::string>& paths);
  /// These rows are Field::hidden() in this command: it takes them and says why they do nothing.
  void hide(const std::vector<std::string>& paths);
  /// One more short flag for a row declared elsewhere: rename("training.batch_size", "batch-size").
  void add_flag(std::string_view path, std::string flag);

  // ---- sources, in this order ----
  void apply_file(const std::filesystem::path& path);
  /// The same from memory; the format is guessed from the name's suffix, else from the text ('{'
  /// first = JSON).
  void apply_text(std::string_view text, const std::string& source_name);
  void apply_environment();
  /// For tests: variables as name -> value.
  void apply_environment(const std::map<std::string, std::string>& variables);
  /// name without dashes, as written. Scalars take one value; a second call for the same key throws
  /// "--steps given twice (5, then 6)".
  void apply_flag(const std::string& name, const std::vector<std::string>& values);
  void apply_flag(const std::string& name, const std::string& value) {
    apply_flag(name, std::vector<std::string>{value});
  }
  /// Sets a default of this command: origin "command", weaker than every source.
  void override_default(std::string_view path, const std::string& value);
  /// Required keys, must_exist() and the cross checks. Call once after the sources.
  void finish(Completeness completeness = Completeness::whole);

  // ---- looking up ----
  const Field* find(std::string_view path) const;       // by full path or alias path
  const Field* find_flag(std::string_view name) const;  // any flag spelling, - and _ alike
  const std::deque<Field>& rows() const { return rows_; }
  bool is_set(std::string_view path) const;
  /// Every accepted flag name (for did-you-mean and completion), without dashes.
  std::vector<std::string> flag_names() const;
  /// Throws Error(Exit::usage) "FILE:LINE:COL: message", or the message alone where the value is
  /// not from a file.
  [[noreturn]] void fail_at(std::string_view path, const std::string& message,
                            const std::string& hint = {}) const;

  // ---- writing ----
  /// One line per key: "optimizer.learning_rate = 3.0e-04    # run.yaml:3:5".
  std::string print_config() const;
  std::string to_yaml_with_comments() const;
  std::string to_yaml() const;
  std::string to_json(int indent = 2) const;
  /// Only keys of one section, as the content of that section: to_json_section("model").
  std::string to_json_section(std::string_view section) const;
  /// The options part of a verb's --help.
  std::string help() const;

 private:
  struct SectionRow {
    std::string path, doc;
  };
  struct CrossCheck {
    std::string path;
    std::function<std::string()> problem;
  };
  friend struct FileReader;
  friend struct ConfigWriter;

  Field& add(std::string_view key, FieldValue value, std::string_view doc, FieldRule rule);
  size_t open_section(std::string_view name, std::string_view doc);
  void close_section(size_t depth);
  Field* find_mutable(std::string_view path);
  Field* find_flag_mutable(std::string_view name) const;
  void index_flags() const;
  void check_existence(const Field& row) const;
  bool is_shown(const Field& row) const;

  std::string prefix_;
  std::string file_name_;  // of the last file applied
  std::deque<Field> rows_;
  std::vector<SectionRow> sections_;
  std::vector<CrossCheck> cross_checks_;
  std::set<std::string> ignored_;
  std::string top_level_section_ = "model";
  std::optional<std::set<std::string>> shown_sections_;
  std::set<std::string> shown_paths_;
  mutable std::map<std::string, const Field*> flag_index_;
  mutable bool flags_indexed_ = false;
};

}  // namespace llm
