#include "model/kernels/cpu_backend.h"
#include "serving/packed_model.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <thread>

#include "serving/autoregressive.h"
#include "serving/transformer_model.h"
#include "tests/model/small_models.h"

namespace llm {
namespace {

using Change = std::function<void(ModelConfig&)>;

ModelConfig config_with(const Change& change) {
  ModelConfig config = test::small_config();
  change(config);
  validate(config);
  return config;
}

std::vector<int32_t> some_ids(int64_t count, int64_t vocab_size, int64_t seed = 1) {
  const at::Tensor ids = test::token_ids(1, count, vocab_size, seed);
  std::vector<int32_t> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<int32_t>(ids[0][i].item<int64_t>()));
  return values;
}

at::Tensor all_logits(const TokenModel& model, const std::vector<int32_t>& ids) {
  const auto sequence = model.start(static_cast<int64_t>(ids.size()));
  at::Tensor logits = at::empty({static_cast<int64_t>(ids.size()), model.vocab_size()});
  model.append_all(*sequence, ids,
                   {logits.mutable_data_ptr<float>(), static_cast<size_t>(logits.numel())});
  return logits;
}

at::Tensor copied(std::span<const float> row) {
  at::Tensor copy = at::empty({static_cast<int64_t>(row.size())});
  std::copy(row.begin(), row.end(), copy.mutable_data_ptr<float>());
  return copy;
}

const std::vector<std::pair<std::string, Change>>& packed_shapes() {
  static const std::vector<std::pair<std::string, Change>> shapes = {
      {"grouped queries", [](auto&) {}},
      {"one head per query", [](auto& c) { c.num_key_value_heads = 4; }},
      {"one key head", [](auto& c) { c.num_key_value_heads = 1; }},
      {"wide heads", [](auto& c) { c.head_dim = 34; }},
      {"odd feed-forward", [](auto& c) { c.intermediate_size = 45; }},
      {"biases", [](auto& c) { c.attention_bias = true, c.mlp_bias = true; }},
      {"tied head", [](auto& c) { c.tie_word_embeddings = true; }},
      {"sliding window", [](auto& c) { c.sliding_window = 5; }},
      {"GeGLU", [](auto& c) { c.ffn_type = "geglu"; }},
      {"linear scaling",
       [](auto& c) { c.rope_scaling.rope_type = "linear", c.rope_scaling.factor = 4; }},
      {"yarn", [](auto& c) { c.rope_scaling.rope_type = "yarn", c.rope_scaling.factor = 4; }},
  };
  return shapes;
}

class PackedModels : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cpu_backend()) GTEST_SKIP() << "this CPU has no AVX2";
  }
};

/// Biases start at zero: give them values that show.
void fill_biases(Transformer& model) {
  at::NoGradGuard no_grad;
  at::manual_seed(3);
  for (const Parameter& parameter : model.named_parameters()) {
    if (parameter.kind == ParameterKind::bias)
      parameter.tensor.copy_(at::randn_like(parameter.tensor));
  }
}

TEST_F(PackedModels, LogitsEqualTheTransformersForEveryShape) {
  for (const auto& [name, change] : packed_shapes()) {
    const auto model = test::small_model(config_with(change));
    fill_biases(*model);
    ASSERT_EQ(why_not_packed(*model), std::nullopt) << name;
    const std::vector<int32_t> ids = some_ids(50, model->config().vocab_size);
    const at::Tensor packed = all_logits(PackedModel(*model), ids),
                     plain = all_logits(TransformerModel(*model), ids);
    EXPECT_LT(test::largest_difference(packed, plain), 1e-4) << name;
  }
}

TEST_F(PackedModels, BfloatLogitsStayNearThoseOfTheSameWeightsInFloat) {
  for (const auto& [name, change] : packed_shapes()) {
    const auto rounded = test::small_model(config_with(change), at::kBFloat16);
    const auto exact = std::make_unique<Transformer>(rounded->config(), at::kFloat);
    {
      at::NoGradGuard no_grad;
      exact->flat_parameters().copy_(rounded->flat_parameters());
    }
    const std::vector<int32_t> ids = some_ids(50, rounded->config().vocab_size);
    const at::Tensor reference = all_logits(PackedModel(*exact), ids);
    const double packed_error =
        test::largest_difference(all_logits(PackedModel(*rounded), ids), reference);
    const double plain_error =
        test::largest_difference(all_logits(TransformerModel(*rounded), ids), reference);
    EXPECT_LT(packed_error, 1.2 * plain_error + 1e-3) << name;
  }
}

TEST_F(PackedModels, CachedDecodeEqualsFullForwardBitForBit) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& [name, change] : packed_shapes()) {
      const auto source = test::small_model(config_with(change), dtype);
      const PackedModel model(*source);
      const std::vector<int32_t> ids = some_ids(40, model.vocab_size());
      const at::Tensor full = all_logits(model, ids);
      const auto sequence = model.start(40);
      EXPECT_TRUE(at::equal(copied(model.append(*sequence, std::span(ids).first(7))), full[6]))
          << name;
      for (size_t t = 7; t < 30; ++t)
        EXPECT_TRUE(at::equal(copied(model.append(*sequence, std::span(ids).subspan(t, 1))),
                              full[static_cast<int64_t>(t)]))
            << name;
      EXPECT_TRUE(at::equal(copied(model.append(*sequence, std::span(ids).subspan(30))), full[39]))
          << name;
      EXPECT_EQ(sequence->length(), 40);
    }
  }
}

TEST_F(PackedModels, ABatchOfSequencesEqualsEachAloneBitForBit) {
  const auto source = test::small_model(test::small_config(), at::kBFloat16);
  const PackedModel model(*source);
  constexpr size_t kRows = 14;
  std::vector<std::unique_ptr<TokenSequence>> together, alone;
  std::vector<TokenSequence*> pointers;
  for (size_t row = 0; row < kRows; ++row) {
    const std::vector<int32_t> prompt =
        some_ids(static_cast<int64_t>(1 + row), model.vocab_size(), static_cast<int64_t>(row));
    for (auto* group : {&together, &alone}) {
      group->push_back(model.start(64));
      model.append(*group->back(), prompt);
    }
    pointers.push_back(together.back().get());
  }
  const auto vocab = static_cast<size_t>(model.vocab_size());
  std::vector<float> logits(kRows * vocab);
  for (int32_t step = 0; step < 10; ++step) {
    std::vector<int32_t> ids;
    for (size_t row = 0; row < kRows; ++row)
      ids.push_back(static_cast<int32_t>((static_cast<size_t>(step) * 5 + row * 3) % vocab));
    model.step(pointers, ids, logits);
    for (size_t row = 0; row < kRows; ++row) {
      EXPECT_TRUE(at::equal(copied(model.append(*alone[row], {&ids[row], 1})),
                            copied(std::span(logits).subspan(row * vocab, vocab))))
          << row;
    }
  }
}

TEST_F(PackedModels, LongPromptsInChunksAndAnyThreadCountGiveTheSameBits) {
  const auto source = test::small_model(
      config_with([](auto& c) { c.max_position_embeddings = 600; }), at::kBFloat16);
  const PackedModel model(*source);
  const std::vector<int32_t> ids = some_ids(500, model.vocab_size());
  const at::Tensor all = all_logits(model, ids);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  EXPECT_TRUE(at::equal(all_logits(PackedModel(*source), ids),
                        all));  // a model keeps the number of threads it was made with
  at::set_num_threads(threads);
  const auto sequence = model.start(500);
  EXPECT_TRUE(at::equal(copied(model.append(*sequence, ids)), all[499]));
}

TEST_F(PackedModels, OtherArchitecturesAreNamedAndRunGenerally) {
  const std::vector<std::pair<std::string, Change>> others = {
      {"position_embedding_type is alibi", [](auto& c) { c.position_embedding_type = "alibi"; }},
      {"ffn_type is gelu", [](auto& c) { c.ffn_type = "gelu"; }},
      {"its norms are not RMSNorm in front of each half",
       [](auto& c) { c.norm_type = "layer_norm"; }},
      {"its feed-forward runs beside attention", [](auto& c) { c.use_parallel_ffn = true; }},
      {"its attention is block-sparse", [](auto& c) { c.sparse_attention.block_size = 8; }},
  };
  for (const auto& [reason, change] : others) {
    const auto model = test::small_model(config_with(change));
    EXPECT_EQ(why_not_packed(*model), reason);
    EXPECT_NE(dynamic_cast<TransformerModel*>(make_token_model(*model).get()), nullptr) << reason;
  }
}

std::vector<GenerationResult> generate(const TokenModel& model, int64_t max_batch,
                                       const std::vector<size_t>& which) {
  std::vector<GenerationRequest> requests;
  for (const size_t i : which) {
    GenerationConfig config;
    config.max_new_tokens = 20;
    config.seed = static_cast<int64_t>(i);
    config.temperature = i % 3 == 0 ? 0.0 : 1.0;
    GenerationRequest request;
    request.prompt_ids =
        some_ids(static_cast<int64_t>(1 + 3 * i), model.vocab_size(), static_cast<int64_t>(i));
    request.config = freeze(
        config, {.vocab_size = model.vocab_size(), .context_length = model.context_length()});
    requests.push_back(std::move(request));
  }
  return Autoregressive(model, max_batch).generate(requests);
}

TEST_F(PackedModels, GreedyAndSampledTextAloneEqualTheSameInACrowd) {
  for (const bool packed : {true, false}) {
    const auto source = test::small_model(test::small_config(), at::kBFloat16);
    const auto model = make_token_model(*source, packed);
    const std::vector<GenerationResult> crowd = generate(*model, 4, {0, 1, 2, 3, 4, 5, 6});
    for (size_t i = 0; i < crowd.size(); ++i)
      EXPECT_EQ(crowd[i].token_ids, generate(*model, 1, {i})[0].token_ids) << i;
  }
}

TEST_F(PackedModels, GreedyTextEqualsTheTransformersInFloat) {
  const auto source = test::small_model(test::small_config());
  const auto packed = make_token_model(*source), general = make_token_model(*source, false);
  for (const size_t i : {0, 3, 6})
    EXPECT_EQ(generate(*packed, 1, {i})[0].token_ids, generate(*general, 1, {i})[0].token_ids);
}

TEST_F(PackedModels, TheLastHiddenStateIsTheTransformers) {
  const auto source =
      test::small_model(config_with([](auto& c) { c.max_position_embeddings = 600; }));
  const std::vector<int32_t> ids = some_ids(500, source->config().vocab_size);
  const std::vector<float> packed = PackedModel(*source).last_hidden_state(ids),
                           plain = TransformerModel(*source).last_hidden_state(ids);
  ASSERT_EQ(packed.size(), static_cast<size_t>(source->config().hidden_size));
  EXPECT_LT(test::largest_difference(copied(packed), copied(plain)), 1e-4);
}

TEST_F(PackedModels, AHiddenStateDoesNotDependOnHowTheTextWasCut) {
  const auto source =
      test::small_model(config_with([](auto& c) { c.max_position_embeddings = 100; }));
  const PackedModel model(*source);
  const std::vector<int32_t> ids = some_ids(90, source->config().vocab_size);
  const auto sequence = model.start(90);
  ASSERT_TRUE(sequence->reserve(90));
  const std::span<const int32_t> text = ids;
  const TokenSegment first{sequence.get(), text.first(33), TokenSegment::Logits::none};
  model.forward({&first, 1}, {});
  const std::vector<float> rest = model.append_hidden(*sequence, text.subspan(33));
  EXPECT_EQ(rest, model.last_hidden_state(ids)) << "to the bit";
}

ParameterReader in_place_reader(const Transformer& model, std::vector<std::string>& done) {
  return {.read = [&model](const std::string& name) -> std::optional<ParameterRows> {
            const Parameter* parameter = model.find_parameter(name);
            if (parameter == nullptr) return std::nullopt;
            return ParameterRows{.rows = stored_rows(parameter->tensor.detach()), .in_file = true};
          },
          .done = [&done](const std::string& name) { done.push_back(name); }};
}

// The first pass reads the weights where they lie, the second packs them; no bit changes.
TEST_F(PackedModels, PackingThatWaitsChangesNoBit) {
  for (const auto& [dtype, codes] :
       {std::pair{at::kFloat, Codes::none}, std::pair{at::kBFloat16, Codes::none},
        std::pair{at::kFloat, Codes::int8}, std::pair{at::kBFloat16, Codes::fp8},
        std::pair{at::kBFloat16, Codes::int4}}) {
    const ModelConfig config = config_with([](auto&) {});
    const auto transformer = test::small_model(config, dtype);
    const PackedModel packed(*transformer, codes);
    std::vector<std::string> done;
    const PackedModel waiting(config, dtype == at::kBFloat16, codes,
                              in_place_reader(*transformer, done), 2);
    const size_t norms = done.size();
    const std::vector<int32_t> ids = some_ids(9, config.vocab_size);
    const at::Tensor wanted = all_logits(packed, ids);
    EXPECT_TRUE(all_logits(waiting, ids).equal(wanted));
    EXPECT_EQ(done.size(), norms) << "packed too early";
    EXPECT_TRUE(all_logits(waiting, ids).equal(wanted));
    EXPECT_GT(done.size(), norms) << "not packed by the second pass";
    EXPECT_TRUE(all_logits(waiting, ids).equal(wanted));
    EXPECT_EQ(waiting.bytes_per_token(), packed.bytes_per_token());
  }
}

// --quantize: fewer bytes, logits near those of the whole weights, and the laws as before.
TEST_F(PackedModels, RoundedWeightsStayNearAndKeepTheLaw) {
  const ModelConfig config = config_with([](auto&) {});
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto transformer = test::small_model(config, dtype);
    const PackedModel whole(*transformer);
    const std::vector<int32_t> ids = some_ids(40, config.vocab_size);
    const at::Tensor exact = all_logits(whole, ids);
    // The error of one product is that of its weights, since errors and weights both add up like
    // the root of their number: int8 0.5 %, fp8 2.7 %, int4 9 % (measured); seven products and two
    // layers make it some times more.
    for (const auto& [codes, most] : {std::pair{Codes::int8, 0.03}, std::pair{Codes::fp8, 0.12},
                                      std::pair{Codes::int4, 0.35}}) {
      const PackedModel rounded(*transformer, codes);
      const at::Tensor near = all_logits(rounded, ids);
      const double error = ((near - exact).norm() / exact.norm()).item<double>();
      EXPECT_GT(error, 0) << codes_name(codes);
      EXPECT_LT(error, most) << codes_name(codes);
      EXPECT_LT(rounded.bytes_per_token(), whole.bytes_per_token()) << codes_name(codes);
      const auto sequence = rounded.start(64);
      for (size_t i = 0; i < ids.size(); ++i) {
        const auto row = rounded.append(*sequence, std::span(ids).subspan(i, 1));
        EXPECT_TRUE(copied(row).equal(near[static_cast<int64_t>(i)]))
            << codes_name(codes) << " token " << i;
      }
    }
  }
}

TEST_F(PackedModels, ManyMayComeFirst) {
  const ModelConfig config = config_with([](auto&) {});
  const auto transformer = test::small_model(config, at::kBFloat16);
  const std::vector<int32_t> ids = some_ids(9, config.vocab_size);
  const at::Tensor wanted = all_logits(PackedModel(*transformer), ids);
  std::vector<std::string> done;
  const PackedModel waiting(config, true, Codes::none, in_place_reader(*transformer, done), 2);
  std::vector<at::Tensor> got(4);
  std::vector<std::thread> callers;
  for (at::Tensor& logits : got) callers.emplace_back([&] { logits = all_logits(waiting, ids); });
  for (std::thread& caller : callers) caller.join();
  for (const at::Tensor& logits : got) EXPECT_TRUE(logits.equal(wanted));
}

}  // namespace
}  // namespace llm
