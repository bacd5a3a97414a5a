// LoRA adapters against peft: tests/fixtures/peft holds adapters for the models of
// tests/fixtures/hf with the logits and greedy continuation that peft computed
// (tests/support/make_peft_fixtures.py).
#include "model/lora_adapter.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file_io.h"
#include "base/json_reader.h"
#include "model/lora_linear.h"
#include "model/model_io.h"
#include "model/model_path.h"
#include "model/safetensors.h"
#include "tests/model/small_models.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm::test {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(LLM_SOURCE_DIR) / "tests" / "fixtures" / "peft";

struct Case {
  LoadedModel base;
  LoraAdapter adapter;
  at::Tensor ids, logits, greedy;  // (1, T), (T, V), (N)
};

Case open_case(const std::string& name) {
  const fs::path folder = kFixtures / name;
  Case made{load_model(base_of_adapter(folder)), {}, {}, {}, {}};
  made.adapter = load_lora_adapter(folder, made.base.config);
  const TensorFile file = map_tensors(folder / "expected.safetensors");
  made.ids = file.tensors.at("input_ids").unsqueeze(0).clone();
  made.logits = file.tensors.at("logits").clone();
  made.greedy = file.tensors.at("greedy_ids").clone();
  return made;
}

class Adapters : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Fixtures, Adapters,
                         testing::Values("gemma2_norms", "gpt2_columns", "gpt_neox_heads",
                                         "gptj_pairs", "llama_all", "llama_qv", "llama_regex",
                                         "mixtral_attention", "phi3_fused"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(Adapters, LogitsAndGreedyIdsEqualPeft) {
  const Case one = open_case(GetParam());
  const auto adapted = with_lora(*one.base.model, one.adapter);
  EXPECT_LT(largest_difference(logits_of(*adapted, one.ids)[0], one.logits), 1e-4);
  at::Tensor ids = one.ids;
  for (int64_t i = 0; i < one.greedy.size(0); ++i)
    ids = at::cat({ids, logits_of(*adapted, ids).select(1, -1).argmax(-1, true)}, 1);
  EXPECT_TRUE(at::equal(ids[0].narrow(0, one.ids.size(1), one.greedy.size(0)), one.greedy)) << ids;
}

TEST_P(Adapters, TheBaseAnswersAsBefore) {
  const Case one = open_case(GetParam());
  const at::Tensor parameters = one.base.model->flat_parameters().clone(),
                   logits = logits_of(*one.base.model, one.ids);
  const auto adapted = with_lora(*one.base.model, one.adapter);
  logits_of(*adapted, one.ids);
  EXPECT_TRUE(same_bits(one.base.model->flat_parameters(), parameters));
  EXPECT_TRUE(same_bits(logits_of(*one.base.model, one.ids), logits));
}

TEST_P(Adapters, MergedEqualsBeside) {
  const Case one = open_case(GetParam());
  const at::Tensor beside = logits_of(*with_lora(*one.base.model, one.adapter), one.ids);
  merge_lora(*one.base.model, one.adapter);
  EXPECT_LT(largest_difference(logits_of(*one.base.model, one.ids), beside), 1e-4);
}

TEST_P(Adapters, CachedDecodeEqualsFullForward) {
  const Case one = open_case(GetParam());
  const auto adapted = with_lora(*one.base.model, one.adapter);
  const at::Tensor whole = logits_of(*adapted, one.ids);
  KvCache cache(one.base.config, one.ids.size(1));
  for (int64_t at = 0; at < one.ids.size(1);) {
    const int64_t step = at == 0 ? 7 : 1;
    const at::Tensor part = logits_of(*adapted, one.ids.narrow(1, at, step), {.cache = &cache});
    EXPECT_LT(largest_difference(part, whole.narrow(1, at, step)), 3e-5) << "at " << at;
    at += step;
  }
}

TEST(LoraAdapter, RanksAndScalesFollowThePatterns) {
  const Case one = open_case("llama_all");
  const auto& q0 = one.adapter.deltas.at("model.layers.0.self_attn.q_proj.weight");
  const auto& q1 = one.adapter.deltas.at("model.layers.1.self_attn.q_proj.weight");
  const auto& o1 = one.adapter.deltas.at("model.layers.1.self_attn.o_proj.weight");
  EXPECT_EQ(q0.rank, 4);
  EXPECT_EQ(q1.rank, 7);
  EXPECT_FLOAT_EQ(q0.scale, 6.0f / 4);
  EXPECT_FLOAT_EQ(q1.scale, 6.0f / 7);
  EXPECT_FLOAT_EQ(o1.scale, 9.0f / 4);
  EXPECT_EQ(one.adapter.deltas.size(), 14u);
  const Case stabilised = open_case("llama_regex");
  EXPECT_FLOAT_EQ(stabilised.adapter.deltas.at("model.layers.1.mlp.down_proj.weight").scale,
                  4.0f / std::sqrt(3.0f));
  EXPECT_EQ(stabilised.adapter.deltas.size(), 3u);
}

/// A copy of a fixture whose adapter_config.json was changed.
class ChangedAdapter : public testing::Test {
 protected:
  fs::path with(const std::function<void(nlohmann::json&)>& change,
                const std::string& name = "llama_qv") {
    const fs::path folder = folder_.path() / "adapter";
    fs::remove_all(folder);
    fs::create_directories(folder);
    fs::copy(kFixtures / name / "adapter_model.safetensors", folder);
    nlohmann::json config = parse_json_file(kFixtures / name / "adapter_config.json");
    change(config);
    write_text(folder / "adapter_config.json", config.dump());
    return folder;
  }
  void write_text(const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
  }
  void expect_refused(const fs::path& folder, const std::string& part) {
    expect_error_with([&] { load_lora_adapter(folder, base_.config); }, Exit::bad_input, part);
  }
  TemporaryFolder folder_;
  LoadedModel base_ = load_model(kFixtures / "../hf/llama");
};

TEST_F(ChangedAdapter, WhatIsNotComputedIsRefusedByName) {
  const std::vector<std::pair<std::string, nlohmann::json>> refused = {
      {"use_dora", true},
      {"lora_bias", true},
      {"modules_to_save", {"lm_head"}},
      {"trainable_token_indices", {1, 2}},
      {"target_parameters", {"mlp.experts"}},
      {"layer_replication", {{0, 2}}},
      {"bias", "lora_only"},
      {"peft_type", "IA3"},
      {"init_lora_weights", "pissa_niter_16"}};
  for (const auto& [key, value] : refused)
    expect_refused(with([&](auto& config) { config[key] = value; }), "adapter_config.json: " + key);
  EXPECT_NO_THROW(load_lora_adapter(
      with([](auto& config) { config["init_lora_weights"] = "gaussian"; }), base_.config));
}

TEST_F(ChangedAdapter, WrongValuesAreRefusedByName) {
  expect_refused(with([](auto& config) { config["r"] = 0; }), "r must be");
  expect_refused(with([](auto& config) { config["r"] = "8"; }), "r must be");
  expect_refused(with([](auto& config) { config["r"] = 5; }),
                 "has rank 8 in lora_A and 8 in lora_B; adapter_config.json says 5");
  expect_refused(with([](auto& config) { config["lora_alpha"] = nullptr, config["r"] = -1; }), "r");
  expect_refused(with([](auto& config) {
                   config["target_modules"] = {"q_proj", "w_proj"};
                 }),
                 "no tensors for target module 'w_proj'");
  expect_refused(with([](auto& config) {
                   config["alpha_pattern"] = {{"layers.[01].q", 3}};
                 }),
                 "has the key 'layers.[01].q': only module names are read");
}

TEST_F(ChangedAdapter, AnAdapterOfAnotherModelIsRefused) {
  const LoadedModel wide = load_model(kFixtures / "../hf/stablelm");
  expect_error_with(
      [&] { load_lora_adapter(kFixtures / "llama_qv", wide.config); }, Exit::bad_input,
      "model.layers.0.self_attn.q_proj is 48x48 in this model, the adapter was made for 48x36");
  const LoadedModel gpt2 = load_model(kFixtures / "../hf/gpt2");
  expect_error_with(
      [&] { load_lora_adapter(kFixtures / "llama_qv", gpt2.config); }, Exit::bad_input,
      "this model has no layer 'model.layers.0.self_attn.q_proj' that can be adapted");
}

TEST_F(ChangedAdapter, ItsBaseIsFoundFromHereFromItselfOrNotAtAll) {
  const auto base = [&](const nlohmann::json& name) {
    return base_of_adapter(with([&](auto& config) { config["base_model_name_or_path"] = name; }));
  };
  fs::create_directories(folder_ / "base");
  EXPECT_EQ(base("../base"), (folder_ / "adapter/../base").string());
  EXPECT_EQ(base((folder_ / "base").string()), (folder_ / "base").string());
  EXPECT_EQ(base("org/name"), "org/name");
  expect_error([&] { base(nullptr); }, Exit::bad_input,
               (folder_ / "adapter/adapter_config.json").string() + ": says no base model",
               "give it with --base-model-path");
}

TEST_F(ChangedAdapter, IsNoModelByItself) {
  const fs::path folder = with([](auto&) {});
  expect_error([&] { resolve_model_path(folder); }, Exit::bad_input,
               "'" + folder.string() + "' is a LoRA adapter, not a model",
               "generate, chat and api take it as --model-path; others take its base");
}

TEST_F(ChangedAdapter, MissingFilesAreNamed) {
  expect_refused(folder_.path(), "is no adapter: it has no adapter_config.json");
  fs::path folder = with([](auto&) {});
  fs::remove(folder / "adapter_model.safetensors");
  expect_refused(folder, "has no adapter_model.safetensors");
  write_text(folder / "adapter_config.json", "[1]");
  expect_refused(folder, "adapter_config.json");
  write_text(folder / "adapter_config.json", "{");
  expect_refused(folder, "invalid JSON");
}

TEST_F(ChangedAdapter, TensorsThatAreNoPairAreNamed) {
  const std::vector<float> values(8 * 36, 0.5f);
  const auto bytes = std::as_bytes(std::span(values));
  const std::string module = "base_model.model.model.layers.0.self_attn.q_proj.";
  const auto write = [&](std::vector<SafetensorsSource> tensors) {
    const fs::path folder = with([](auto& config) { config["target_modules"] = {"q_proj"}; });
    write_safetensors(folder / "adapter_model.safetensors", tensors);
    return folder;
  };
  const SafetensorsSource a{module + "lora_A.weight", "F32", {8, 36}, bytes};
  expect_refused(write({a}), "model.layers.0.self_attn.q_proj has lora_A only");
  expect_refused(write({a, {module + "lora_E", "F32", {8, 36}, bytes}}),
                 "q_proj.lora_E' is not a matrix of LoRA");
  expect_refused(write({{module + "lora_A.weight", "F32", {8 * 36}, bytes}}),
                 "a matrix is expected");
  expect_refused(write({{module + "lora_A.weight", "I32", {8, 36}, bytes}}),
                 "is I32, F32, F16 or BF16 is expected");
  expect_refused(write({a, {module + "lora_A.default.weight", "F32", {8, 36}, bytes}}),
                 "is there twice");
}

}  // namespace
}  // namespace llm::test
