#include "model/model_io.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file_io.h"
#include "model/device.h"
#include "model/families/families.h"
#include "model/hf_config.h"
#include "tests/model/small_models.h"

namespace llm::test {
namespace {

namespace fs = std::filesystem;

class ModelFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "llm-model-io-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path saved(const Transformer& model, const std::string& name = "m") const {
    fs::create_directories(folder_ / name);
    save_model(model, folder_ / name);
    return folder_ / name;
  }
  void put(const fs::path& file, const std::string& text) const {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  fs::path folder_;
};

std::vector<ModelConfig> storable_configs() {
  std::vector<ModelConfig> configs(9, small_config());
  configs[1].tie_word_embeddings = true;
  configs[2].position_embedding_type = "absolute";
  configs[2].norm_type = "layer_norm";
  configs[3].attention_bias = configs[3].mlp_bias = true;
  configs[4].rope_scaling = {
      .rope_type = "yarn", .factor = 4, .original_max_position_embeddings = 16, .beta_fast = 20};
  configs[5].sliding_window = 8;
  configs[5].head_dim = 12;
  configs[6].sparse_attention = {.block_size = 4, .local_blocks = 2, .global_blocks = 0};
  configs[6].use_parallel_ffn = true;
  configs[7].ffn_type = "gelu";
  configs[7].norm_first = false;
  configs[7].dropout = 0.25;
  configs[8].pad_token_id = -1;
  configs[8].ffn_type = "geglu";
  return configs;
}

TEST_F(ModelFolder, LoadedModelEqualsTheSavedOneBitForBit) {
  for (const ModelConfig& config : storable_configs()) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      const auto model = small_model(config, dtype);
      const LoadedModel loaded = load_model(saved(*model), {.dtype = dtype});
      EXPECT_TRUE(same_bits(loaded.model->flat_parameters(), model->flat_parameters()));
      const at::Tensor ids = token_ids(1, 9, 37);
      EXPECT_EQ(largest_difference(logits_of(*loaded.model, ids), logits_of(*model, ids)), 0.0);
      fs::remove_all(folder_ / "m");
    }
  }
}

TEST_F(ModelFolder, ConfigSurvivesItsHuggingFaceForm) {
  for (ModelConfig config : storable_configs()) {
    const std::string text = hf_config_text(config, "float32");
    const ModelConfig read = model_config_from_hf(nlohmann::json::parse(text), "config.json");
    // What was absent comes back resolved; everything else is equal.
    config.head_dim = config.head_size();
    config.num_key_value_heads = config.key_value_heads();
    config.intermediate_size = config.ffn_size();
    config.attention_dropout = config.attention_dropout_probability();
    EXPECT_TRUE(read == config) << text;
  }
}

TEST_F(ModelFolder, ASavedConfigIsARunConfigOfTheSameShape) {
  for (const ModelConfig& config : storable_configs()) {
    const auto json = nlohmann::json::parse(hf_config_text(config, "float32"));
    ModelConfig read;
    Fields fields;
    fields.section("model", read);
    fields.apply_text(run_config_from_hf(json, "config.json").text, "config.json");
    fields.finish();
    read.hidden_act.reset();  // agrees with ffn_type
    read.model_type.reset();
    read.bos_token_id = config.bos_token_id;  // those of a run are its tokenizer's
    read.eos_token_id = config.eos_token_id;
    read.pad_token_id = config.pad_token_id;
    read.further_eos_token_ids = config.further_eos_token_ids;
    EXPECT_TRUE(resolved(read) == resolved(config)) << json.dump(2);
  }
}

TEST_F(ModelFolder, ARunConfigLeavesTheIdsOfAnotherTokenizerOut) {
  const auto json = nlohmann::json::parse(
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1000,
          "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
          "bos_token_id": 900, "eos_token_id": [901, 908], "pad_token_id": null})");
  const HfRunConfig run = run_config_from_hf(json, "config.json");
  EXPECT_EQ(run.token_ids, "bos_token_id 900, eos_token_id [901,908]");
  const auto model = nlohmann::json::parse(run.text)["model"];
  for (const char* id : {"bos_token_id", "eos_token_id", "pad_token_id", "further_eos_token_ids"}) {
    EXPECT_FALSE(model.contains(id)) << id;
  }
  EXPECT_EQ(model["vocab_size"], 1000);
}

TEST_F(ModelFolder, PlainLlamaShapesCarryLlamasName) {
  const auto type_of = [](const ModelConfig& config) {
    const auto json = nlohmann::json::parse(hf_config_text(config, "float32"));
    return json["architectures"][0].get<std::string>() + " " +
           json["model_type"].get<std::string>();
  };
  ModelConfig config = small_config();
  EXPECT_EQ(type_of(config), "LlamaForCausalLM llama");
  config.attention_bias = config.mlp_bias = config.tie_word_embeddings = true;
  config.ffn_type = "geglu";
  EXPECT_EQ(type_of(config), "LlamaForCausalLM llama");
  config = small_config();
  config.sliding_window = 16;
  EXPECT_EQ(type_of(config), "MistralForCausalLM mistral");
  config = small_config();
  config.position_embedding_type = "alibi";
  EXPECT_EQ(type_of(config), "LlmForCausalLM llm");
}

TEST_F(ModelFolder, OtherSpellingsOfRotaryKeysAreRead) {
  const std::string common =
      "\"model_type\":\"llama\",\"vocab_size\":37,\"hidden_size\":32,\"num_hidden_layers\":1,\"num_"
      "attention_heads\":4,\"hidden_act\":\"silu\"";
  const auto read = [&](const std::string& more) {
    return model_config_from_hf(nlohmann::json::parse("{" + common + "," + more + "}"),
                                "config.json");
  };
  const ModelConfig newer = read(
      "\"rope_parameters\":{\"rope_theta\":500000.0,\"rope_type\":\"llama3\",\"factor\":8.0,\"low_"
      "freq_factor\":1.0,"
      "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}");
  EXPECT_EQ(newer.rope_theta, 500000.0);
  EXPECT_EQ(newer.rope_scaling.rope_type, "llama3");
  EXPECT_EQ(newer.rope_scaling.original_max_position_embeddings, 8192);
  const ModelConfig older = read(
      "\"rope_theta\":20000,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.0},\"eos_token_id\":"
      "[5,6],\"pad_token_id\":null");
  EXPECT_EQ(older.rope_theta, 20000.0);
  EXPECT_EQ(older.rope_scaling.rope_type, "linear");
  EXPECT_EQ(older.eos_token_id, 5);
  EXPECT_EQ(older.pad_token_id, -1);
  EXPECT_EQ(older.ffn_type, "swiglu");
  EXPECT_EQ(
      read("\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"default\"}").rope_scaling,
      RopeScalingConfig{});
}

TEST_F(ModelFolder, ForeignConfigsAreRefusedByName) {
  const auto refusal = [](const std::string& text) {
    return error_of([&] { model_config_from_hf(nlohmann::json::parse(text), "config.json"); });
  };
  EXPECT_EQ(
      refusal("{\"model_type\":\"bert\",\"n_embd\":4}"),
      "3: config.json: unsupported architecture bert; supported model types are " + family_names());
  EXPECT_EQ(refusal("{\"model_type\":\"llama\",\"vocab_size\":37}"),
            "3: config.json: hidden_size is missing");
  const std::string common =
      "{\"model_type\":\"llama\",\"vocab_size\":37,\"hidden_size\":32,\"num_hidden_layers\":1,"
      "\"num_attention_heads\":4,";
  expect_contains(refusal(common + "\"logit_scale\":2}"),
                  "3: config.json: unknown key logit_scale");
  expect_contains(refusal(common + "\"rms_norm_eps\":\"x\"}"),
                  "3: config.json: rms_norm_eps: expected a number");
  expect_contains(
      refusal(common + "\"num_key_value_heads\":3}"),
      "3: config.json: num_attention_heads (4) must be a multiple of num_key_value_heads (3)");
}

TEST_F(ModelFolder, TiedModelsHaveOneStorageAndOneCopyInTheFile) {
  ModelConfig config = small_config();
  config.tie_word_embeddings = true;
  const auto model = small_model(config);
  EXPECT_EQ(model->output_weight().master.data_ptr(),
            model->find_parameter("model.embed_tokens.weight")->tensor.data_ptr());
  EXPECT_EQ(model->find_parameter("lm_head.weight"), nullptr);
  const TensorFile file = map_tensors(saved(*model) / "model.safetensors");
  EXPECT_EQ(file.tensors.count("lm_head.weight"), 0u);
  EXPECT_EQ(file.tensors.count("model.embed_tokens.weight"), 1u);
}

TEST_F(ModelFolder, ParameterNamesAreHuggingFaceLlamas) {
  ModelConfig config = small_config();
  config.num_hidden_layers = 1;
  const Transformer model(config, at::kFloat);
  std::vector<std::string> names;
  for (const Parameter& parameter : model.named_parameters()) {
    names.push_back(parameter.name);
  }
  const std::string layer = "model.layers.0.";
  EXPECT_EQ(names, (std::vector<std::string>{
                       "model.embed_tokens.weight", layer + "self_attn.q_proj.weight",
                       layer + "self_attn.k_proj.weight", layer + "self_attn.v_proj.weight",
                       layer + "self_attn.o_proj.weight", layer + "mlp.gate_proj.weight",
                       layer + "mlp.up_proj.weight", layer + "mlp.down_proj.weight",
                       layer + "input_layernorm.weight", layer + "post_attention_layernorm.weight",
                       "model.norm.weight", "lm_head.weight"}));
}

TEST_F(ModelFolder, ShardsLoadLikeOneFile) {
  const auto model = small_model(small_config());
  const fs::path directory = saved(*model);
  const TensorFile whole = map_tensors(directory / "model.safetensors");
  TensorMap parts[2];
  nlohmann::json index = {{"metadata", {{"total_size", 1}}},
                          {"weight_map", nlohmann::json::object()}};
  size_t i = 0;
  for (const auto& [name, tensor] : whole.tensors) {
    parts[i % 2].emplace_back(name, tensor.clone());
    index["weight_map"][name] = fmt::format("model-0000{}-of-00002.safetensors", i % 2 + 1);
    ++i;
  }
  fs::remove(directory / "model.safetensors");
  for (int part = 0; part < 2; ++part) {
    save_tensors(directory / fmt::format("model-0000{}-of-00002.safetensors", part + 1),
                 parts[part]);
  }
  put(directory / "model.safetensors.index.json", index.dump());
  EXPECT_TRUE(same_bits(load_model(directory).model->flat_parameters(), model->flat_parameters()));
  fs::remove(directory / "model-00002-of-00002.safetensors");
  expect_contains(
      error_of([&] { load_model(directory); }),
      "model.safetensors.index.json: index names 'model-00002-of-00002.safetensors', not found");
}

TEST_F(ModelFolder, MissingUnusedAndMisshapenTensorsAreNamed) {
  const auto model = small_model(small_config());
  const fs::path directory = saved(*model), file = directory / "model.safetensors";
  TensorMap tensors;
  for (const Parameter& parameter : model->named_parameters()) {
    if (parameter.name.find("layers.1.mlp") == std::string::npos) {
      tensors.emplace_back(parameter.name, parameter.tensor.detach());
    }
  }
  tensors.emplace_back("foo", at::ones({2}));
  save_tensors(file, tensors);
  EXPECT_EQ(error_of([&] { load_model(directory); }),
            "3: " + file.string() +
                ": missing 3 tensors (model.layers.1.mlp.gate_proj.weight, "
                "model.layers.1.mlp.up_proj.weight, model.layers.1.mlp.down_proj.weight); 1 not "
                "used (foo)");
  tensors[0].second = at::ones({36, 32});
  save_tensors(file, tensors);
  expect_contains(
      error_of([&] { load_model(directory); }),
      "1 not used (foo); 1 of the wrong shape (model.embed_tokens.weight is 36x32, the model needs "
      "37x32)");
}

TEST_F(ModelFolder, NotANumberIsRefusedByTensorName) {
  const auto model = small_model(small_config());
  {
    at::NoGradGuard no_grad;
    at::Tensor weight = model->find_parameter("model.layers.1.self_attn.q_proj.weight")->tensor;
    weight.view(-1).narrow(0, 3, 12).fill_(std::nan(""));
  }
  const fs::path directory = saved(*model);
  EXPECT_EQ(error_of([&] { load_model(directory); }), "") << "looking is the caller's choice";
  EXPECT_EQ(error_of([&] { load_model(directory, {.check_finite = true}); }),
            "3: " + (directory / "model.safetensors").string() +
                ": model.layers.1.self_attn.q_proj.weight contains 12 NaN values");
}

TEST_F(ModelFolder, MappedTensorsOutliveTheirFileObject) {
  const at::Tensor original = at::arange(1000, at::kFloat);
  save_tensors(
      folder_ / "t.safetensors",
      {{"x", original}, {"odd", at::ones({3}, at::kByte)}, {"y", original.to(at::kDouble)}},
      {{"step", "5"}});
  at::Tensor x, y;
  {
    TensorFile file = map_tensors(folder_ / "t.safetensors");
    x = file.tensors.at("x");
    y = file.tensors.at("y");  // misaligned behind three bytes: copied
    EXPECT_EQ(file.metadata.at("step"), "5");
  }
  fs::remove(folder_ / "t.safetensors");
  EXPECT_TRUE(same_bits(x.clone(), original));
  EXPECT_TRUE(same_bits(y, original.to(at::kDouble)));
}

TEST_F(ModelFolder, PathsMeanTheBestThereIs) {
  const fs::path run = folder_ / "run";
  put(run / "config.yaml", "seed: 1\n");
  EXPECT_EQ(error_of([&] { resolve_model_path(run); }),
            "3: no checkpoint in '" + run.string() + "'");
  for (const std::string step : {"step-00000400", "step-00000500"}) {
    put(run / step / "config.json", "{}");
    put(run / step / "manifest.json", "{}");
  }
  EXPECT_EQ(resolve_model_path(run), run / "step-00000500");
  fs::create_symlink("step-00000400", run / "latest");  // killed before the link was moved
  EXPECT_EQ(resolve_model_path(run), run / "step-00000500");
  fs::rename(run / "step-00000500", run / "step-00000500.abandoned");
  EXPECT_EQ(resolve_model_path(run), run / "latest");
  fs::rename(run / "step-00000500.abandoned", run / "step-00000500");
  fs::create_symlink("step-00000500", run / "best");
  EXPECT_EQ(resolve_model_path(run), run / "best");
  put(run / "final" / "config.json", "{}");
  EXPECT_EQ(resolve_model_path(run), run / "final");
  EXPECT_EQ(resolve_model_path(run / "step-00000400"), run / "step-00000400");
  put(run / "final" / "model.safetensors", "");
  EXPECT_EQ(resolve_model_path(run / "final" / "model.safetensors"), run / "final");
}

TEST_F(ModelFolder, FilesOfACheckpointHaveTheSizesOfItsManifest) {
  const fs::path step = folder_ / "step-00000004";
  const auto write = [&](const std::string& name, const std::string& text) {
    put(step / name, text);
  };
  write("config.json", "{}");
  write("model.safetensors", "12345678");
  write("generation_config.json", "{}");
  write("training_state/state.json", "{}");
  const std::string sizes =
      R"({"format": 1, "step": 4, "files": {"config.json": {"size": 2, "sha256": ""},
          "model.safetensors": {"size": 8, "sha256": ""},
          "generation_config.json": {"size": 2, "sha256": ""},
          "training_state/state.json": {"size": 2, "sha256": ""}}})";
  write("manifest.json", sizes);
  EXPECT_EQ(resolve_model_path(step), step);
  write("generation_config.json", "{\"seed\": 1}");  // may be changed, or is not read
  write("training_state/state.json", "{\"a\": 1}");
  EXPECT_EQ(resolve_model_path(step), step);
  write("model.safetensors", "1234567");
  EXPECT_EQ(error_of([&] { resolve_model_path(step); }),
            "3: step-00000004/model.safetensors: 7 bytes, manifest says 8");
  fs::remove(step / "model.safetensors");
  EXPECT_EQ(error_of([&] { resolve_model_path(step); }),
            "3: step-00000004: model.safetensors is missing");
  // Somebody else's manifest.json says nothing here.
  fs::rename(step, folder_ / "model");
  put(folder_ / "model" / "manifest.json", "{\"name\": \"a web page\"}");
  EXPECT_EQ(resolve_model_path(folder_ / "model"), folder_ / "model");
}

TEST_F(ModelFolder, WrongPathsSayWhatIsWrong) {
  const fs::path run = folder_ / "run";
  EXPECT_EQ(error_of([&] { resolve_model_path(run); }),
            "3: no model at '" + run.string() + "': No such file or directory");
  fs::create_directories(run);
  EXPECT_EQ(error_of([&] { resolve_model_path(run); }),
            "3: no checkpoint in '" + run.string() + "'");
  put(run / "step-00000800" / "manifest.json", "{}");
  put(run / "step-00000800" / "config.json", "{}");
  fs::create_symlink("step-00000900", run / "latest");
  EXPECT_EQ(error_of([&] { resolve_model_path(run); }),
            "3: " + (run / "latest").string() +
                " → step-00000900 does not exist; newest complete is step-00000800");
  put(run / "step-00000500" / "config.json", "{}");
  EXPECT_EQ(error_of([&] { resolve_model_path(run / "step-00000500"); }),
            "3: " + (run / "step-00000500").string() +
                " is incomplete (no manifest; save was interrupted)");
  put(run / "x.pth", "");
  EXPECT_EQ(error_of([&] { resolve_model_path(run / "x.pth"); }),
            "3: " + (run / "x.pth").string() +
                ": PyTorch pickle files are not loaded (they can run code)");
  put(run / "readme.txt", "");
  EXPECT_EQ(
      error_of([&] { resolve_model_path(run / "readme.txt"); }),
      "3: '" + (run / "readme.txt").string() + "' is a file, expected a model or run directory");
}

TEST(Device, AbsentDevicesAndUnknownNamesAreRefused) {
  if (cuda_device_count() == 0) {
    EXPECT_EQ(error_of([] { resolve_device("cuda:3"); }),
              "2: --device cuda:3: no CUDA device found (this build/host has 0)");
    EXPECT_EQ(resolve_device("auto"), at::Device(at::kCPU));
  }
  EXPECT_EQ(resolve_device("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(parse_dtype("bf16"), at::kBFloat16);
  EXPECT_EQ(parse_dtype("float16"), at::kHalf);
  expect_contains(error_of([] { parse_dtype("fp8"); }), "2: --dtype: 'fp8' is not supported");
}

}  // namespace
}  // namespace llm::test
