// Parity with transformers: tests/fixtures/hf holds small random-weight models of every family with
// the logits and the greedy continuation that transformers computed
// (tests/support/make_hf_fixtures.py). Each test prints the line that docs/models.md quotes.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "model/families/families.h"
#include "model/hf_config.h"
#include "model/model_io.h"
#include "tests/model/small_models.h"
#include "tests/support/temporary_folder.h"

namespace llm::test {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(LLM_SOURCE_DIR) / "tests" / "fixtures" / "hf";

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(kFixtures)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

struct Expected {
  at::Tensor ids, logits, greedy;  // (1, T), (T, V), (N)
};

Expected expected_of(const std::string& name) {
  const TensorFile file = map_tensors(kFixtures / name / "expected.safetensors");
  return {file.tensors.at("input_ids").unsqueeze(0).clone(), file.tensors.at("logits").clone(),
          file.tensors.at("greedy_ids").clone()};
}

// The continuation by the largest logit, one full pass per token.
at::Tensor greedy(const Transformer& model, at::Tensor ids, int64_t tokens) {
  const int64_t given = ids.size(1);
  for (int64_t i = 0; i < tokens; ++i) {
    const at::Tensor next = logits_of(model, ids).select(1, -1).argmax(-1, true);
    ids = at::cat({ids, next}, 1);
  }
  return ids[0].narrow(0, given, tokens);
}

class Families : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Fixtures, Families, testing::ValuesIn(fixture_names()),
                         [](const auto& info) { return info.param; });

TEST_P(Families, LogitsAndGreedyIdsEqualTransformers) {
  const LoadedModel loaded = load_model(kFixtures / GetParam());
  const Expected expected = expected_of(GetParam());
  const double difference =
      largest_difference(logits_of(*loaded.model, expected.ids)[0], expected.logits);
  EXPECT_LT(difference, 1e-4);
  const at::Tensor ids = greedy(*loaded.model, expected.ids, expected.greedy.size(0));
  EXPECT_TRUE(at::equal(ids, expected.greedy)) << ids << expected.greedy;
  fmt::print("parity {:18} {:12} logits {:.1e}  greedy {}\n", GetParam(),
             family_of(loaded.config).model_type, difference,
             at::equal(ids, expected.greedy) ? "equal" : "DIFFERENT");
}

TEST_P(Families, CachedDecodeEqualsFullForward) {
  const LoadedModel loaded = load_model(kFixtures / GetParam());
  const Expected expected = expected_of(GetParam());
  const at::Tensor ids = at::cat({expected.ids, expected.greedy.unsqueeze(0)}, 1);
  const at::Tensor whole = logits_of(*loaded.model, ids);
  KvCache cache(loaded.config, ids.size(1));
  int64_t done = 0;
  while (done < ids.size(1)) {
    const int64_t step = done == 0 ? 7 : done == 7 ? 4 : 1;
    const at::Tensor part = logits_of(*loaded.model, ids.narrow(1, done, step), {.cache = &cache});
    EXPECT_LT(largest_difference(part, whole.narrow(1, done, step)), 3e-5) << "at " << done;
    done += step;
  }
}

TEST_P(Families, SavedModelIsTheSameFamilyAndTheSameModel) {
  const LoadedModel first = load_model(kFixtures / GetParam());
  const TemporaryFolder folder;
  save_model(*first.model, folder.path());
  const LoadedModel second = load_model(folder.path());
  EXPECT_TRUE(resolved(first.config) == resolved(second.config));
  EXPECT_TRUE(same_bits(first.model->flat_parameters(), second.model->flat_parameters()));
  const nlohmann::json original = parse_json_file(kFixtures / GetParam() / "config.json"),
                       written = parse_json_file(folder.path() / "config.json");
  EXPECT_EQ(original["model_type"], written["model_type"]);
  EXPECT_EQ(original["architectures"], written["architectures"]);
  const TensorFile theirs = map_tensors(kFixtures / GetParam() / "model.safetensors"),
                   ours = map_tensors(folder.path() / "model.safetensors");
  EXPECT_EQ(theirs.tensors.size(), ours.tensors.size());
  for (const auto& [name, tensor] : theirs.tensors) {
    ASSERT_TRUE(ours.tensors.contains(name)) << name;
    EXPECT_TRUE(at::equal(ours.tensors.at(name), tensor.to(at::kFloat))) << name;
  }
}

TEST_P(Families, LeftPaddedRowEqualsTheRowAlone) {
  const LoadedModel loaded = load_model(kFixtures / GetParam());
  const at::Tensor ids = expected_of(GetParam()).ids;
  const int64_t T = ids.size(1), padding = 3;
  const at::Tensor shorter =
      at::cat({ids.narrow(1, 0, 1).repeat({1, padding}), ids.narrow(1, 0, T - padding)}, 1);
  at::Tensor mask = at::ones({2, T}, at::kLong);
  mask[1].narrow(0, 0, padding).zero_();
  const at::Tensor both =
      logits_of(*loaded.model, at::cat({ids, shorter}), {.attention_mask = mask});
  const at::Tensor alone = logits_of(*loaded.model, ids);
  EXPECT_LT(largest_difference(both[0], alone[0]), 3e-5);
  EXPECT_LT(largest_difference(both[1].narrow(0, padding, T - padding),
                               alone[0].narrow(0, 0, T - padding)),
            3e-5);
}

TEST_P(Families, GradientsReachEveryParameter) {
  const LoadedModel loaded = load_model(kFixtures / GetParam());
  loaded.model->flat_gradients();
  const int64_t vocab = loaded.config.vocab_size;
  const at::Tensor hidden = loaded.model->hidden_states(token_ids(4, 24, vocab));
  loaded.model->cross_entropy(hidden, token_ids(4, 24, vocab, 5), 1.0 / 96).loss.backward();
  for (const Parameter& parameter : loaded.model->named_parameters()) {
    EXPECT_GT(parameter.tensor.grad().abs().max().item<double>(), 0.0) << parameter.name;
    EXPECT_TRUE(at::isfinite(parameter.tensor.grad()).all().item<bool>()) << parameter.name;
  }
}

// The other spelling of rope keys, as versions before 5 wrote it, gives the same model.
TEST_P(Families, OlderRopeSpellingReadsTheSame) {
  const fs::path file = kFixtures / GetParam() / "config.json";
  const ModelConfig config = load_hf_config(file);
  nlohmann::json written = nlohmann::json::parse(hf_config_text(config, "float32"));
  const bool gemma3 = written["model_type"] == "gemma3_text";
  for (const char* newer : {"rope_parameters", "dtype", "layer_types"}) {
    if (!gemma3 || std::string_view(newer) != "layer_types") {
      written.erase(newer);
    }
  }
  EXPECT_TRUE(resolved(model_config_from_hf(written, "config.json")) == resolved(config));
  written = nlohmann::json::parse(hf_config_text(config, "float32"));
  for (const char* older : {"rope_theta", "rope_scaling", "rotary_pct", "rotary_emb_base",
                            "partial_rotary_factor", "rope_local_base_freq", "torch_dtype"}) {
    written.erase(older);
  }
  EXPECT_TRUE(resolved(model_config_from_hf(written, "config.json")) == resolved(config));
}

}  // namespace
}  // namespace llm::test
