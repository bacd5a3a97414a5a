// Adapters on packed weights: the same numbers as on a Transformer's Linears, whatever company a
// row has.
#include "model/kernels/cpu_backend.h"
#include "serving/packed_adapter.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "model/parameter_layout.h"
#include "serving/packed_model.h"
#include "serving/transformer_model.h"
#include "tests/model/small_models.h"

namespace llm {
namespace {

/// Deltas for the matrices whose names contain one of `ends`; other numbers for other keys.
LoraAdapter random_adapter(const ModelConfig& config, const std::vector<std::string>& ends,
                           int64_t rank, uint64_t key) {
  LoraAdapter adapter;
  for (const ParameterPlace& place : parameter_layout(config)) {
    const bool wanted = std::any_of(ends.begin(), ends.end(), [&](const std::string& end) {
      return place.name.ends_with(end + ".weight");
    });
    if (!wanted) continue;
    LoraDelta delta{rank, place.shape[1], place.shape[0], 1.5f, {}, {}};
    const CounterRandom random(combine_keys(key, static_cast<uint64_t>(place.offset)));
    const auto fill = [&](std::vector<float>& values, int64_t count, uint64_t first) {
      for (int64_t i = 0; i < count; ++i)
        values.push_back(0.6f * (unit_float(random.bits(first + static_cast<uint64_t>(i))) - 0.5f));
    };
    fill(delta.a, rank * delta.inputs, 0);
    fill(delta.b, rank * delta.outputs, 1 << 20);
    adapter.deltas.emplace(place.name, std::move(delta));
  }
  return adapter;
}

const std::vector<std::string> kAll = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                       "gate_proj", "up_proj", "down_proj"};

ModelConfig odd_config() {
  ModelConfig config = test::small_config();
  config.head_dim = 34;
  config.intermediate_size = 45;
  config.attention_bias = true;
  return config;
}

std::vector<int32_t> ids_of(int64_t count, int64_t seed) {
  const at::Tensor ids = test::token_ids(1, count, 37, seed);
  std::vector<int32_t> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<int32_t>(ids[0][i].item<int64_t>()));
  return values;
}

std::vector<float> logits_with(const TokenModel& model, const ModelAdapterPtr& adapter,
                               const std::vector<int32_t>& ids, size_t chunk = 1000) {
  const auto sequence = model.start(std::ssize(ids));
  sequence->use_adapter(adapter);
  std::vector<float> logits(ids.size() * static_cast<size_t>(model.vocab_size()));
  const auto vocab = static_cast<size_t>(model.vocab_size());
  for (size_t at = 0; at < ids.size(); at += chunk) {
    const auto part = std::span(ids).subspan(at, std::min(chunk, ids.size() - at));
    model.append_all(*sequence, part, std::span(logits).subspan(at * vocab, part.size() * vocab));
  }
  return logits;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(double{a[i]} - b[i]));
  return most;
}

class PackedAdapters : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cpu_backend()) GTEST_SKIP() << "this CPU has no AVX2";
  }
};

TEST_F(PackedAdapters, EqualTheTransformersForEveryChoiceOfMatrices) {
  const auto source = test::small_model(odd_config());
  const PackedModel packed(*source);
  const TransformerModel plain(*source);
  const std::vector<int32_t> ids = ids_of(40, 1);
  const std::vector<float> base = logits_with(plain, nullptr, ids);
  std::vector<std::vector<std::string>> choices = {{"q_proj", "v_proj"}, kAll};
  for (const std::string& one : kAll) choices.push_back({one});
  for (const int64_t rank : {1, 5, 16}) {
    for (const auto& choice : choices) {
      const LoraAdapter adapter = random_adapter(source->config(), choice, rank, 9);
      const std::vector<float> wanted = logits_with(plain, plain.adapt(adapter), ids);
      EXPECT_LT(distance(logits_with(packed, packed.adapt(adapter), ids), wanted), 1e-4)
          << rank << " " << choice[0];
      EXPECT_GT(distance(wanted, base), 1e-2) << rank << " " << choice[0];
    }
  }
}

TEST_F(PackedAdapters, BfloatStaysNearFloat) {
  const auto rounded = test::small_model(odd_config(), at::kBFloat16);
  const auto exact = std::make_unique<Transformer>(rounded->config(), at::kFloat);
  {
    at::NoGradGuard no_grad;
    exact->flat_parameters().copy_(rounded->flat_parameters());
  }
  const LoraAdapter adapter = random_adapter(rounded->config(), kAll, 8, 4);
  const std::vector<int32_t> ids = ids_of(40, 2);
  const PackedModel wanted(*exact), packed(*rounded);
  const TransformerModel plain(*rounded);
  const std::vector<float> reference = logits_with(wanted, wanted.adapt(adapter), ids);
  const double plain_error = distance(logits_with(plain, plain.adapt(adapter), ids), reference);
  EXPECT_LT(distance(logits_with(packed, packed.adapt(adapter), ids), reference),
            1.2 * plain_error + 1e-3);
}

TEST_F(PackedAdapters, ARowIsTheSameBitsAloneAndBesideOtherAdapters) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto source = test::small_model(odd_config(), dtype);
    const PackedModel model(*source);
    std::vector<ModelAdapterPtr> adapters = {nullptr};
    for (uint64_t key = 1; key <= 3; ++key)
      adapters.push_back(model.adapt(random_adapter(
          source->config(), key == 2 ? std::vector<std::string>{"o_proj", "v_proj"} : kAll,
          static_cast<int64_t>(4 * key), key)));
    // Nine texts read at once, then token by token, against each one alone in other chunks.
    const auto vocab = static_cast<size_t>(model.vocab_size());
    std::vector<std::unique_ptr<TokenSequence>> sequences;
    std::vector<std::vector<int32_t>> texts;
    std::vector<std::vector<float>> crowd(9);
    for (size_t i = 0; i < 9; ++i) {
      texts.push_back(ids_of(20, static_cast<int64_t>(i) + 1));
      sequences.push_back(model.start(20));
      sequences.back()->use_adapter(adapters[i % adapters.size()]);
    }
    for (size_t at = 0; at < 20;) {
      const size_t count = at == 0 ? 11 : 1;
      std::vector<TokenSegment> pass;
      for (size_t i = 0; i < 9; ++i) {
        ASSERT_TRUE(sequences[i]->reserve(static_cast<int64_t>(at + count)));
        pass.push_back({sequences[i].get(), std::span(texts[i]).subspan(at, count),
                        TokenSegment::Logits::all});
      }
      std::vector<float> logits(9 * count * vocab);
      model.forward(pass, logits);
      for (size_t i = 0; i < 9; ++i)
        crowd[i].insert(crowd[i].end(),
                        logits.begin() + static_cast<std::ptrdiff_t>(i * count * vocab),
                        logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * count * vocab));
      at += count;
    }
    for (size_t i = 0; i < 9; ++i)
      EXPECT_EQ(crowd[i], logits_with(model, adapters[i % adapters.size()], texts[i], 3)) << i;
  }
}

TEST_F(PackedAdapters, AForkKeepsItsAdapter) {
  const auto source = test::small_model(odd_config());
  for (const bool packed : {true, false}) {
    const auto model = make_token_model(*source, packed);
    const auto adapter = model->adapt(random_adapter(source->config(), kAll, 4, 5));
    const std::vector<int32_t> ids = ids_of(12, 3);
    const auto sequence = model->start_in(model->make_pool({.max_blocks = 8}), 12);
    sequence->use_adapter(adapter);
    model->append(*sequence, std::span(ids).first(11));
    const auto copy = sequence->fork();
    const auto last = model->append(*copy, std::span(ids).last(1));
    const std::vector<float> whole = logits_with(*model, adapter, ids);
    const std::vector<float> row(last.begin(), last.end());
    EXPECT_LT(distance(row, {whole.end() - model->vocab_size(), whole.end()}), 3e-5);
  }
}

TEST_F(PackedAdapters, HiddenStatesAreTheAdapters) {
  const auto source = test::small_model(odd_config());
  const PackedModel packed(*source);
  const TransformerModel plain(*source);
  const LoraAdapter adapter = random_adapter(source->config(), kAll, 4, 6);
  const std::vector<int32_t> ids = ids_of(9, 4);
  const auto wanted = plain.last_hidden_state(ids, plain.adapt(adapter));
  EXPECT_LT(distance(packed.last_hidden_state(ids, packed.adapt(adapter)), wanted), 1e-4);
  EXPECT_GT(distance(packed.last_hidden_state(ids), wanted), 1e-2);
}

}  // namespace
}  // namespace llm
