// llm create-config: a complete run config from a preset's name or from one number.
#include <filesystem>

#include "apps/commands.h"
#include "apps/run_presets.h"
#include "base/error.h"
#include "base/named_output.h"
#include "base/number_text.h"
#include "base/stdout.h"
#include "model/model_presets.h"
#include "model/model_size.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

struct CreateConfig {
  RunConfig overrides = pretrain_defaults();  // only rows that the caller set count
  std::string type = "base";
  std::optional<int64_t> params;
  std::string output = "config/default_config.json";

  void fields(Fields& f) {
    overrides.fields(f);
    f.drop_cross_checks();  // they hold for the preset with its changes, not for the defaults with
                            // them
    f("type", type, "Preset", one_of(model_preset_names())).flag("type").flag_only();
    f("params", params, "Parameters of the model instead of a preset: 1M, 30M, 350M ...",
      in_range(100'000, 1e12L))
        .flag("params")
        .when_empty("off")
        .flag_only();
    f("output", output, "File to write; .json, .yaml or .yml chooses the format", non_empty())
        .flag("output")
        .flag_only()
        .value_name("FILE");
    f.show_only({""});
  }
};

bool wants_json(const fs::path& output) {
  const std::string suffix = output.extension().string();
  check(suffix == ".json" || suffix == ".yaml" || suffix == ".yml",
        "--output: '{}' must end in .json, .yaml or .yml", output.string());
  return suffix == ".json";
}

/// What a preset says of its warm-up gives way to what the caller says of the run's length.
void shorten_own_warmup(RunConfig& run, const Fields& given) {
  const int64_t steps = run.training.max_steps.value_or(INT64_MAX);
  if (!given.is_set("scheduler.warmup_steps") && run.scheduler.warmup_steps.value_or(0) > steps) {
    run.scheduler.warmup_steps = steps / 10;
  }
}

/// The preset, or the shape for a number of parameters, with what the caller says otherwise.
void resolve(const CreateConfig& config, const Fields& fields, RunConfig& run, Fields& rows) {
  if (fields.is_set("params") && fields.is_set("type")) {
    fail(Exit::usage, "--params and --type cannot be used together",
         "a number chooses the shape, or a preset does");
  }
  run = config.params ? sized_run(*config.params) : run_preset(config.type);
  run.for_later = true;
  rows.section("", run);
  for (const Field& row : fields.rows()) {
    const Field* preset = rows.find(row.path());
    if (row.is_set() && preset != nullptr && row.text() != preset->text()) {
      rows.apply_flag(row.path(), row.words());
    }
  }
  shorten_own_warmup(run, fields);
  rows.finish();
}

int create_config(CreateConfig& config, const Fields& fields) {
  const bool json = wants_json(config.output);
  RunConfig run;
  Fields rows;
  resolve(config, fields, run, rows);
  const std::string made_by =
      config.params ? "--params " + human_count(*config.params) : "--type " + config.type;
  std::string text = rows.to_json() + "\n";
  if (!json) {
    text = fmt::format(
        "# llm create-config {}: {}.\n# Train it: llm pretrain --config FILE --data-path TEXT\n{}",
        made_by, describe_run(run), rows.to_yaml_with_comments());
  }
  const fs::path output = config.output;
  write_named_output(output, text);
  write_stdout(fmt::format("Wrote {}: {} ({})\n", output.string(), describe_run(run),
                           format_count(parameter_count(run.model))));
  return 0;
}

}  // namespace

Command create_config_command() {
  const auto config = std::make_shared<CreateConfig>();
  Command command = make_command<CreateConfig>(
      {.name = "create-config",
       .summary = "Write a complete run config",
       .details = "Any key of the config may be given by its dotted name and replaces the preset's "
                  "value.\n\n"
                  "Example: llm create-config --params 30M --data.path texts.txt --output 30m.yaml",
       .computes_here = false},
      create_config, config);
  command.print_config = [config](const Fields& fields) {
    RunConfig run;
    Fields rows;
    resolve(*config, fields, run, rows);
    return rows.print_config();
  };
  return command;
}

}  // namespace llm
