// A run config in small, with one key of every kind.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/config.h"

namespace llm {

struct SampleModel {
  int64_t hidden_size = 64;
  int64_t num_attention_heads = 8;
  double dropout = 0.0;
  std::optional<int64_t> num_key_value_heads;
  bool tie_word_embeddings = false;

  void fields(Fields& f) {
    f("hidden_size", hidden_size, "Width", in_range(1, 65536)).alias("d_model");
    f("num_attention_heads", num_attention_heads, "Query heads", at_least(1)).alias("n_heads");
    f("num_key_value_heads", num_key_value_heads, "Key and value heads", at_least(1))
        .when_empty("as many as query heads");
    f("dropout", dropout, "Dropout", in_range(0, 1));
    f("tie_word_embeddings", tie_word_embeddings, "One matrix for input and output");
    f.ignore({"architectures", "torch_dtype"});
    f.cross_check("hidden_size", [this] {
      return hidden_size % num_attention_heads == 0
                 ? std::string()
                 : fmt::format(
                       "model.hidden_size ({}) must be divisible by model.num_attention_heads ({})",
                       hidden_size, num_attention_heads);
    });
  }
};

struct SampleOptimizer {
  double learning_rate = 1e-5;
  std::string name = "adamw";
  std::vector<double> betas{0.9, 0.95};
  double eps = 1e-8;

  void fields(Fields& f) {
    f("learning_rate", learning_rate, "Peak learning rate", in_range(0, 1))
        .flag("learning-rate")
        .alias("lr");
    f("name", name, "Optimizer", one_of({"adamw", "lion"})).flag("optimizer-name");
    f("betas", betas, "Decay of the moments", in_range(0, 1));
    f("eps", eps, "Added to the denominator", more_than(0));
  }
};

struct SampleTraining {
  int64_t max_steps = 100;
  int64_t batch_size = 8;
  std::optional<int64_t> warmup_steps;
  bool packing = false;
  std::vector<std::string> target_modules{"q_proj", "v_proj"};
  std::vector<std::string> stop;
  std::optional<double> top_p;
  std::optional<bool> compile;
  std::optional<std::string> note;

  void fields(Fields& f) {
    f("max_steps", max_steps, "Optimizer steps", at_least(0)).flag("max-steps");
    f("batch_size", batch_size, "Rows per step", in_range(1, 1048576)).flag("batch-size");
    f("warmup_steps", warmup_steps, "Steps of rising learning rate", at_least(0))
        .flag("warmup-steps");
    f("packing", packing, "Several texts in one row").flag("packing");
    f("target_modules", target_modules, "Where adapters go", non_empty()).flag("target-modules");
    f("stop", stop, "Texts that end the reply").flag("stop").verbatim();
    f("top_p", top_p, "Nucleus", in_range(0, 1)).flag("top-p").when_empty("off");
    f("compile", compile, "Whether to compile");
    f("note", note, "Free text");
  }
};

struct SampleConfig {
  SampleModel model;
  SampleOptimizer optimizer;
  SampleTraining training;
  std::string output;
  std::string api_key = "hidden";
  int64_t seed = 42;

  void fields(Fields& f) {
    f("seed", seed, "Seed", at_least(-1)).flag("seed");
    f("output", output, "Where the result goes").flag("output").flag_only().value_name("FILE");
    f("api_key", api_key, "Key of the server").flag("api-key").secret();
    f.section("model", model, "The model");
    f.section("optimizer", optimizer, "How weights are updated");
    f.section("training", training, "The run");
  }
};

}  // namespace llm
