// llm inspect: what a model holds, what it makes of a text, and a run's loss curve as a picture.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/model_files.h"
#include "apps/model_views.h"
#include "apps/shared_options.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/named_output.h"
#include "base/stdout.h"
#include "model/model_io.h"
#include "training/checkpoint.h"
#include "training/loss_plot.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

FieldRule ending_in_svg() {
  return matching([](const std::string& file) { return file.ends_with(".svg"); },
                  "a file name that ends in .svg");
}

struct InspectConfig {
  std::string model_path = "checkpoints";
  std::string tokenizer_path;
  std::string tokens;
  int64_t logits = 0;
  std::optional<int64_t> attention, head;
  std::string plot;
  bool verify = false;
  void fields(Fields& f) {
    f("model_path", model_path, "A run, checkpoint, model directory or .gguf file", non_empty())
        .flag("model-path")
        .flag_only()
        .value_name("DIR");
    f("tokenizer_path", tokenizer_path, "Tokenizer file, if the model directory has none")
        .flag("tokenizer-path")
        .flag_only()
        .value_name("FILE");
    f("tokens", tokens, "A text to cut into tokens").flag("tokens").flag_only().value_name("TEXT");
    f("logits", logits, "With --tokens: the N likeliest tokens after each", in_range(0, 100))
        .flag("logits")
        .flag_only();
    f("attention", attention, "With --tokens: what each token looks at in this layer", at_least(0))
        .flag("attention")
        .flag_only()
        .when_empty("off")
        .value_name("LAYER");
    f("head", head, "With --attention: one head", at_least(0))
        .flag("head")
        .flag_only()
        .when_empty("mean of all");
    f("plot", plot, "Write the run's loss curve to this SVG file", ending_in_svg())
        .flag("plot")
        .flag_only()
        .value_name("FILE");
    f("verify", verify, "Compare every file of a checkpoint, or of a run's, with its SHA-256")
        .flag("verify")
        .flag_only();
  }
};

void write_plot(const fs::path& run, const fs::path& file) {
  check_input(fs::exists(run / "metrics.jsonl"),
              "'{}' is not a run directory: it has no metrics.jsonl", run.string());
  LossCurves curves = read_loss_curves(run);
  if (fs::exists(run / "run.json")) {
    const nlohmann::json record = parse_json_file(run / "run.json");
    const JsonView view(record, (run / "run.json").string());
    if (view.has("entropy_nats_per_token")) {
      curves.floor = view.get_double("entropy_nats_per_token", 0, 1e6);
    }
  }
  const std::string picture = loss_plot_svg(curves);
  write_named_output(file, picture);
  write_stdout(fmt::format("wrote {}\n", file.string()));
}

/// Fails with what is wrong: of one checkpoint in its own words, of several by their number. What
/// could not be read says nothing about damage and goes first.
void fail_for(const std::vector<Error>& errors, const fs::path& run, size_t checkpoints) {
  if (errors.empty()) return;
  const auto unread = std::find_if(errors.begin(), errors.end(), [](const Error& error) {
    return error.code() != Exit::bad_input;
  });
  const Error& first = unread == errors.end() ? errors.front() : *unread;
  if (errors.size() == 1) throw first;
  fail(first.code(),
       fmt::format("{} of the {} checkpoints of '{}' did not pass; the first: {}", errors.size(),
                   checkpoints, run.string(), first.message()),
       first.hint());
}

/// A checkpoint, or every one of a run directory.
void verify_checkpoints(const fs::path& given) {
  std::vector<fs::path> checkpoints;
  if (fs::exists(given / kManifestName)) {
    checkpoints.push_back(given);
  } else {
    for (const int64_t step : checkpoint_steps(given)) {
      checkpoints.push_back(given / checkpoint_name(step));
    }
  }
  if (checkpoints.empty()) {
    fail(Exit::bad_input,
         fmt::format("'{}' has no manifest.json to be compared with", given.string()),
         "checkpoints have one: RUN verifies all of a run's, RUN/step-N that one");
  }
  std::vector<Error> errors;
  for (const fs::path& checkpoint : checkpoints) {
    std::string finding;
    try {
      verify_checkpoint(checkpoint);
      finding = fmt::format("{} files, every one as it was saved",
                            read_manifest(checkpoint).files.size());
    } catch (const Error& error) {
      errors.push_back(error);
      finding = error.message();
    }
    if (checkpoints.size() > 1 || errors.empty()) {
      write_stdout(fmt::format("{}: {}\n", checkpoint.string(), finding));
    }
  }
  flush_stdout();
  fail_for(errors, given, checkpoints.size());
}

/// What the model makes of a text.
std::string text_views(const InspectConfig& config, const fs::path& model_path,
                       const EncryptionKey& key) {
  const auto tokenizer = open_model_tokenizer(model_path, config.tokenizer_path);
  if (config.logits == 0 && !config.attention) {
    return token_view(*tokenizer, config.tokens);
  }
  const std::vector<int32_t> ids = tokenizer->encode(config.tokens);
  const LoadedModel loaded = load_model(model_path, {.key = key});
  std::string out;
  if (config.logits > 0) {
    out += logit_view(*loaded.model, *tokenizer, ids, config.logits);
  }
  if (config.attention) {
    out +=
        attention_view(*loaded.model, *tokenizer, ids, *config.attention, config.head.value_or(-1));
  }
  return out;
}

/// No flag is left without a reader.
void check_views(const InspectConfig& config, const Fields& fields) {
  const bool text = fields.is_set("tokens"), plot = fields.is_set("plot");
  check(text || (config.logits == 0 && !config.attention),
        "--logits and --attention need a text: --tokens TEXT");
  check(config.attention || !config.head, "--head needs --attention LAYER");
  check(text || !fields.is_set("tokenizer_path"), "--tokenizer-path is read with --tokens only");
  if (text + plot + config.verify > 1)
    fail(Exit::usage, "--plot, --verify and --tokens show different things", "one at a time");
}

int inspect(InspectConfig& config, const Fields& fields) {
  check_views(config, fields);
  if (fields.is_set("plot")) {
    write_plot(config.model_path, config.plot);
    return 0;
  }
  if (config.verify) {
    verify_checkpoints(config.model_path);
    return 0;
  }
  const fs::path path = resolve_model_path(config.model_path);
  const EncryptionKey key = shared_key(fields);
  if (!config.tokens.empty()) {
    write_stdout(text_views(config, path, key));
    return 0;
  }
  write_stdout(path.string() + "\n" + config_view(load_model_config(path)) + "\n" +
               parameter_view(*open_weights(path, key)));
  return 0;
}

}  // namespace

Command inspect_command() {
  return make_command<InspectConfig>(
      {.name = "inspect",
       .summary =
           "Show a model's parameters, what it makes of a text, a run's loss curve; verify it",
       .details =
           "  llm inspect runs/first\n"
           "  llm inspect model.gguf --tokens \"Once upon a time\"\n"
           "  llm inspect runs/first --tokens \"Once upon a time\" --logits 3 --attention 0\n"
           "  llm inspect runs/first --plot loss.svg\n"
           "  llm inspect runs/first --verify",
       .positional = "model_path"},
      inspect);
}

}  // namespace llm
