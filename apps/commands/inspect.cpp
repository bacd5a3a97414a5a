// llm inspect: what a model directory holds, how its tokenizer cuts a text, and a run's loss curve
// as a picture.
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/mapped_file.h"
#include "base/number_text.h"
#include "base/stdout.h"
#include "base/utf8.h"
#include "model/model_io.h"
#include "model/model_size.h"
#include "model/safetensors.h"
#include "tokenizer/tokenizer.h"
#include "training/loss_plot.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

struct InspectConfig {
  std::string model_path = "checkpoints";
  std::string tokens;
  std::string plot;
  void fields(Fields& f) {
    f("model_path", model_path, "A run, checkpoint or model directory", non_empty())
        .flag("model-path")
        .flag_only()
        .value_name("DIR");
    f("tokens", tokens, "A text to cut into tokens").flag("tokens").flag_only().value_name("TEXT");
    f("plot", plot, "Write the run's loss curve to this SVG file")
        .flag("plot")
        .flag_only()
        .value_name("FILE");
  }
};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) {
    text += text.empty() ? std::to_string(size) : " x " + std::to_string(size);
  }
  return text.empty() ? "scalar" : text;
}

std::vector<fs::path> weight_files(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".safetensors") {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string parameter_table(const fs::path& directory) {
  std::string table =
      fmt::format("{:<58}{:<18}{:<7}{:>14}\n", "parameter", "shape", "dtype", "values");
  int64_t total = 0;
  uint64_t bytes = 0;
  for (const fs::path& file : weight_files(directory)) {
    const MappedFile mapped = MappedFile::open(file);
    for (const SafetensorsEntry& entry : parse_safetensors(mapped.bytes(), file.string()).tensors) {
      int64_t count = 1;
      for (const int64_t size : entry.shape) {
        count *= size;
      }
      total += count;
      bytes += entry.end - entry.begin;
      table += fmt::format("{:<58}{:<18}{:<7}{:>14}\n", entry.name, shape_text(entry.shape),
                           entry.dtype, format_count(count));
    }
  }
  return table + fmt::format("{:<58}{:<18}{:<7}{:>14}   {}\n", "total", "", "", format_count(total),
                             human_bytes(bytes));
}

std::string model_text(const fs::path& directory) {
  const ModelConfig config = load_model_config(directory);
  std::string text = fmt::format("{}\n", directory.string());
  text += fmt::format(
      "{} layers, hidden {}, {} heads ({} key/value) of {}, feed-forward {} ({}), vocabulary {}, "
      "context {}\n",
      config.num_hidden_layers, config.hidden_size, config.num_attention_heads,
      config.key_value_heads(), config.head_size(), config.ffn_size(), config.ffn_type,
      format_count(config.vocab_size), format_count(config.max_position_embeddings));
  text += fmt::format(
      "{} parameters, {:.3g} FLOPs per token forward, {} of key/value cache per token "
      "(float32)\n\n",
      human_count(parameter_count(config)), forward_flops_per_token(config, 1),
      human_bytes(static_cast<uint64_t>(kv_cache_bytes_per_token(config, 4))));
  return text + parameter_table(directory);
}

std::string token_text(const fs::path& directory, const std::string& text) {
  const auto tokenizer = load_tokenizer(directory);
  const std::vector<int32_t> ids = tokenizer->encode(text);
  std::string out = fmt::format("{} bytes, {} tokens\n", text.size(), ids.size());
  for (const int32_t id : ids) {
    out += fmt::format("{:>7}  {}\n", id, tokenizer->token_text(id));
  }
  return out;
}

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
  write_file_atomically(file, loss_plot_svg(curves));
  write_stdout(fmt::format("wrote {}\n", file.string()));
}

int inspect(InspectConfig& config, const Fields&) {
  if (!config.plot.empty()) {
    write_plot(config.model_path, config.plot);
    return 0;
  }
  const fs::path directory = resolve_model_path(config.model_path);
  if (!config.tokens.empty()) {
    write_stdout(token_text(directory, config.tokens));
    return 0;
  }
  write_stdout(model_text(directory));
  return 0;
}

}  // namespace

Command inspect_command() {
  return make_command<InspectConfig>(
      {.name = "inspect",
       .summary = "Show a model's config and parameters, a text's tokens, a run's loss curve",
       .details = "Examples: llm inspect runs/first\n          llm inspect runs/first --tokens "
                  "\"Once upon a time\"\n"
                  "          llm inspect runs/first --plot loss.svg",
       .positional = "model_path"},
      inspect);
}

}  // namespace llm
