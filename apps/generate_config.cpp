#include "apps/generate_config.h"

#include "apps/generation_rules.h"
#include "apps/text_model.h"

namespace llm {

void GenerateConfig::fields(Fields& f) {
  declare_model_rows(f, paths);
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
  f("grammar", grammar, "GBNF file that the text must keep to")
      .flag("grammar")
      .flag_only()
      .value_name("FILE");
  f("json_schema", json_schema, "JSON schema file that the text must keep to")
      .flag("json-schema")
      .flag_only()
      .value_name("FILE");
  f("draft_model_path", draft_model_path,
    "Smaller model that guesses ahead; without it what was said before is looked up")
      .flag("draft-model-path")
      .flag_only()
      .value_name("DIR");
  f("stream", stream, "Print the text as it is written").flag("stream").flag_only();
  f("json", json, "Print JSON: text, token ids, finish reason, timing").flag("json").flag_only();
  f.section("", runtime);
  f.override_default("seed", "-1");
  f.section("generation", generation, "Length, sampling, stopping");
  show_generation_rows(f);
  f.cross_check("json", [this, &f, defaults = texts_of(f)] {
    refuse_idle_keys(f, rules(), *this, defaults);
    refuse_idle_settings(f, generation);
    return std::string();
  });
}

const std::vector<KeyRule<GenerateConfig>>& GenerateConfig::rules() {
  static const std::vector<KeyRule<GenerateConfig>> all = {
      {{"generation.return_probs", "generation.return_logprobs", "generation.return_input_logprobs",
        "generation.top_logprobs"},
       {"json"},
       [](const GenerateConfig& c) { return !c.json; },
       "without --json",
       "--json reports it"},
      {{"generation.return_text"},
       {"stream"},
       [](const GenerateConfig& c) { return c.stream; },
       "",
       "a stream is the text"},
      {{"batch_size"},
       {"stream"},
       [](const GenerateConfig& c) { return c.stream; },
       "",
       "streams come one after another"},
  };
  return all;
}

}  // namespace llm
