// Keys and values of a real model in a pool: every layout, sharing, eviction and codes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "model/kernels/cpu_backend.h"
#include "serving/engine.h"
#include "serving/kv_pool.h"
#include "serving/packed_model.h"
#include "serving/transformer_model.h"
#include "tests/model/small_models.h"

namespace llm {
namespace {

class KvLayouts : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_cpu_backend()) GTEST_SKIP() << "this CPU has no AVX2";
  }

  static std::unique_ptr<TokenModel> model(
      at::ScalarType dtype, const std::function<void(ModelConfig&)>& change = [](auto&) {}) {
    ModelConfig config = test::small_config();
    config.max_position_embeddings = 512;
    change(config);
    validate(config);
    const auto transformer = test::small_model(config, dtype);
    auto packed = make_token_model(*transformer);
    EXPECT_NE(dynamic_cast<PackedModel*>(packed.get()), nullptr);
    return packed;
  }

  static std::vector<int32_t> some_tokens(size_t count, const TokenModel& of, uint64_t key = 1) {
    std::vector<int32_t> ids;
    for (size_t i = 0; i < count; ++i)
      ids.push_back(static_cast<int32_t>((key * 7919 + i * i * 31 + i * 17) %
                                         static_cast<size_t>(of.vocab_size())));
    return ids;
  }

  static std::vector<float> logits_of(const TokenModel& of, TokenSequence& sequence,
                                      std::span<const int32_t> ids) {
    std::vector<float> logits(ids.size() * static_cast<size_t>(of.vocab_size()));
    of.append_all(sequence, ids, logits);
    return logits;
  }
};

TEST_F(KvLayouts, PagedSlabAndSegmentsGiveTheSameBits) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto packed = model(dtype);
    const auto ids = some_tokens(200, *packed);
    const std::vector<float> alone = logits_of(*packed, *packed->start(200), ids);
    for (const char* layout : {"paged", "slab", "bmc"}) {
      const auto pool =
          packed->make_pool({.max_blocks = 100, .layout = layout, .slab_tokens = 512});
      const auto neighbour = packed->start_in(pool, 512);
      const auto sequence = packed->start_in(pool, 512);
      std::vector<float> pieces;
      // In uneven chunks, with another sequence growing between them.
      for (size_t at = 0; at < ids.size();) {
        const size_t count = std::min<size_t>(1 + at % 37, ids.size() - at);
        const auto part = logits_of(*packed, *sequence, std::span(ids).subspan(at, count));
        pieces.insert(pieces.end(), part.begin(), part.end());
        logits_of(*packed, *neighbour, std::span(ids).first(3));
        at += count;
      }
      EXPECT_EQ(pieces, alone) << layout;
    }
  }
}

TEST_F(KvLayouts, ForksGoTheirOwnWay) {
  const auto packed = model(at::kBFloat16);
  const auto pool = packed->make_pool({.max_blocks = 50});
  const auto ids = some_tokens(50, *packed), left = some_tokens(20, *packed, 2),
             right = some_tokens(20, *packed, 3);
  const auto first = packed->start_in(pool, 512);
  logits_of(*packed, *first, ids);
  const auto second = first->fork();
  EXPECT_EQ(pool->used_blocks(), 2);
  const auto a = logits_of(*packed, *first, left), b = logits_of(*packed, *second, right);
  EXPECT_EQ(pool->copies(), 1);
  for (const auto& [rest, got] : {std::pair(left, a), std::pair(right, b)}) {
    const auto alone = packed->start(512);
    logits_of(*packed, *alone, ids);
    EXPECT_EQ(logits_of(*packed, *alone, rest), got);
  }
  second->truncate(50);
  EXPECT_EQ(logits_of(*packed, *second, right), b);
}

TEST_F(KvLayouts, ASequenceMayBeginWithAnothersBlocks) {
  const auto packed = model(at::kFloat);
  const auto pool = packed->make_pool({.max_blocks = 50});
  const auto ids = some_tokens(100, *packed);
  const auto first = packed->start_in(pool, 512);
  const auto all = logits_of(*packed, *first, ids);
  const auto shared = first->block_ids().first(2);
  const auto second = packed->start_in(pool, 512, shared);
  EXPECT_EQ(second->length(), 64);
  const auto rest = logits_of(*packed, *second, std::span(ids).subspan(64));
  EXPECT_TRUE(
      std::equal(rest.begin(), rest.end(), all.end() - static_cast<std::ptrdiff_t>(rest.size())));
}

TEST_F(KvLayouts, BlocksBeforeTheWindowAreNotNeeded) {
  const auto packed = model(at::kBFloat16, [](auto& c) { c.sliding_window = 40; });
  const auto pool = packed->make_pool({.max_blocks = 50});
  const auto ids = some_tokens(300, *packed);
  const auto whole = logits_of(*packed, *packed->start(300), ids);
  const auto sequence = packed->start_in(pool, 512);
  std::vector<float> pieces;
  int64_t most = 0;
  for (size_t at = 0; at < ids.size(); at += 10) {
    const auto part = logits_of(*packed, *sequence, std::span(ids).subspan(at, 10));
    pieces.insert(pieces.end(), part.begin(), part.end());
    sequence->drop_unseen();
    most = std::max(most, pool->used_blocks());
  }
  EXPECT_EQ(pieces, whole);
  EXPECT_LE(most, 3);  // 40 tokens and 10 new ones lie in three blocks at most
}

TEST_F(KvLayouts, CodesTakeLessAndStayNear) {
  for (const auto& [dtype, codes, most] :
       {std::tuple{at::kFloat, Codes::int8, 0.01}, std::tuple{at::kBFloat16, Codes::int8, 0.01},
        std::tuple{at::kFloat, Codes::fp8, 0.04}, std::tuple{at::kBFloat16, Codes::fp8, 0.04}}) {
    const auto packed = model(dtype);
    const auto ids = some_tokens(150, *packed);
    const auto exact = logits_of(*packed, *packed->start(150), ids);
    const auto pool = packed->make_pool({.max_blocks = 20, .codes = codes});
    const auto near = logits_of(*packed, *packed->start_in(pool, 512), ids);
    double error = 0, size = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      error += std::pow(static_cast<double>(near[i]) - static_cast<double>(exact[i]), 2);
      size += std::pow(static_cast<double>(exact[i]), 2);
    }
    EXPECT_GT(error, 0);
    EXPECT_LT(std::sqrt(error / size), most) << codes_name(codes);
    EXPECT_LT(packed->kv_bytes_per_token(codes), packed->kv_bytes_per_token());
    // The law holds here too: one token at a time gives the same bits.
    const auto sequence = packed->start_in(pool, 512);
    std::vector<float> steps;
    for (const int32_t id : ids) {
      const auto row = packed->append(*sequence, {&id, 1});
      steps.insert(steps.end(), row.begin(), row.end());
    }
    EXPECT_EQ(steps, near);
  }
}

std::vector<GenerationResult> answers(const TokenModel& model, EngineOptions options,
                                      const std::vector<size_t>& which) {
  options.kv.max_blocks = 400;
  Engine engine(model, options);
  std::vector<GenerationResult> results(which.size());
  for (size_t place = 0; place < which.size(); ++place) {
    const size_t i = which[place];
    GenerationConfig config;
    config.max_new_tokens = static_cast<int64_t>(8 + 5 * (i % 5));
    config.seed = static_cast<int64_t>(i);
    config.temperature = i % 3 == 0 ? 0.0 : 1.0;
    config.num_speculative_tokens = i % 4 == 2 ? 5 : 0;
    config.num_beams = i == 11 ? 3 : 1;
    GenerationRequest request;
    for (size_t k = 0; k < 1 + 13 * i; ++k)
      request.prompt_ids.push_back(
          static_cast<int32_t>((i / 4 * 1009 + k * 37) % static_cast<size_t>(model.vocab_size())));
    request.config = freeze(config, {.vocab_size = model.vocab_size(), .context_length = 512});
    engine.submit(std::move(request), [&results, place](GenerationResult&& result) {
      results[place] = std::move(result);
    });
  }
  while (engine.step()) {
  }
  return results;
}

// The law of serving, with a real model: greedy, sampled, speculating and searching requests, long
// prompts in chunks, shared beginnings.
TEST_F(KvLayouts, AnAnswerIsTheSameAloneAndAmongSixteen) {
  const auto packed = model(at::kBFloat16);
  std::vector<size_t> all(16);
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  EngineOptions options;
  options.prefill_chunk = 9;
  const auto crowd = answers(*packed, options, all);
  for (const size_t i : all) {
    const auto alone = answers(*packed, {}, {i});
    EXPECT_EQ(crowd[i].token_ids, alone[0].token_ids) << i;
    EXPECT_FALSE(crowd[i].token_ids.empty());
  }
}

}  // namespace
}  // namespace llm
