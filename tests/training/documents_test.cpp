// Rows of documents as training batches: what is a target, and that packing changes no loss.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/random.h"
#include "data/document_dataset.h"
#include "model/init.h"
#include "model/kernels/kernels.h"
#include "model/transformer.h"
#include "tests/training/scratch.h"
#include "training/loss.h"

namespace llm {
namespace {

constexpr int64_t kVocab = 37;

/// 24 documents of 3 to 14 tokens, about half of them to be learnt.
void write_documents(const std::filesystem::path& prefix) {
  TokenFileWriter writer(prefix, std::string(64, '0'));
  for (uint64_t d = 0; d < 24; ++d) {
    const CounterRandom random(combine_keys(3, d));
    std::vector<int32_t> ids;
    std::vector<uint8_t> learnt;
    for (uint64_t i = 0; i < 3 + random.bits(1000) % 12; ++i) {
      ids.push_back(static_cast<int32_t>(random.bits(i) % kVocab));
      learnt.push_back(i == 2 || random.uniform(500 + i) < 0.5);
    }
    writer.append(ids, learnt);
  }
  writer.finish();
}

std::unique_ptr<DataLoader> loader_of(const std::filesystem::path& prefix, bool packed,
                                      int64_t rows_per_step) {
  return std::make_unique<DataLoader>(
      std::make_unique<DocumentDataset>(TokenFile::open(prefix),
                                        DocumentDataset::Options{.seq_len = 31, .packed = packed}),
      DataLoaderOptions{.rows_per_step = rows_per_step, .shuffle = false});
}

std::unique_ptr<Transformer> model_of(ModelConfig config, at::ScalarType dtype = at::kDouble) {
  config.vocab_size = kVocab;
  config.hidden_size = 64;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.intermediate_size = 24;
  config.max_position_embeddings = 32;
  auto model = std::make_unique<Transformer>(config, dtype);
  initialize(*model, 3);
  return model;
}

struct Outcome {
  double nll = 0;
  int64_t targets = 0;
  at::Tensor gradients;
};

/// Loss and gradient of all rows, in micro-batches of `rows`.
Outcome pass_over(Transformer& model, DataLoader& loader, int64_t rows) {
  Outcome outcome;
  model.flat_gradients().zero_();
  const BatchSource source = causal_batches(loader);
  for (int64_t row = 0; row < loader.rows_per_epoch(); row += rows) {
    const TrainingBatch batch = source(row, std::min(rows, loader.rows_per_epoch() - row));
    ForwardOptions options;
    options.segments = batch.segments;
    options.positions = batch.positions;
    options.attention_mask = batch.attention_mask;
    const CrossEntropy loss = model.cross_entropy(model.hidden_states(batch.input_ids, options),
                                                  batch.targets, 1.0 / 100);
    loss.loss.backward();
    outcome.nll += loss.nll_sum;
    outcome.targets += batch.target_count;
    EXPECT_EQ(loss.counted, batch.target_count);
  }
  outcome.gradients = model.flat_gradients().clone();
  return outcome;
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST(Documents, TargetsStayWithinTheirText) {
  const Scratch scratch;
  TokenFileWriter writer(scratch.path / "x", std::string(64, '0'));
  writer.append(std::vector<int32_t>{5, 6, 7, 8}, std::vector<uint8_t>{0, 0, 1, 1});
  writer.append(std::vector<int32_t>{9, 10});
  writer.append(std::vector<int32_t>{11, 12, 13}, std::vector<uint8_t>{0, 1, 0});
  writer.finish();
  const auto packed = std::make_unique<DataLoader>(
      std::make_unique<DocumentDataset>(TokenFile::open(scratch.path / "x"),
                                        DocumentDataset::Options{.seq_len = 5, .packed = true}),
      DataLoaderOptions{.rows_per_step = 2, .shuffle = false});
  const TrainingBatch batch = causal_batches(*packed)(0, 2);
  constexpr int64_t kNone = kIgnoreTarget;
  const auto equals = [](const at::Tensor& tensor, std::vector<int64_t> values) {
    return at::equal(tensor, at::tensor(values, at::kLong).view({2, 5}));
  };
  EXPECT_TRUE(equals(batch.input_ids, {5, 6, 7, 8, 9, 11, 12, 13, 0, 0}));
  EXPECT_TRUE(equals(batch.targets, {kNone, 7, 8, kNone, 10, 12, kNone, kNone, kNone, kNone}));
  EXPECT_TRUE(equals(batch.segments, {0, 0, 0, 0, 1, 0, 0, 0, kPadding, kPadding}));
  EXPECT_TRUE(equals(batch.positions, {0, 1, 2, 3, 0, 0, 1, 2, 0, 1}));
  EXPECT_EQ(batch.target_count, 4);
}

TEST(Documents, PackedRowsHaveTheLossAndGradientOfDocumentsAlone) {
  const Scratch scratch;
  write_documents(scratch.path / "x");
  ModelConfig rope, alibi, absolute, sinusoidal, window, sparse, post;
  alibi.position_embedding_type = "alibi";
  absolute.position_embedding_type = "absolute";
  sinusoidal.position_embedding_type = "sinusoidal";
  window.sliding_window = 4;
  sparse.sparse_attention.block_size = 3;
  post.norm_first = false;
  for (const ModelConfig& config : {rope, alibi, absolute, sinusoidal, window, sparse, post}) {
    const auto model = model_of(config);
    const Outcome alone = pass_over(*model, *loader_of(scratch.path / "x", false, 1), 1);
    const Outcome packed = pass_over(*model, *loader_of(scratch.path / "x", true, 3), 3);
    EXPECT_GT(alone.targets, 60);
    EXPECT_EQ(packed.targets, alone.targets);
    EXPECT_NEAR(packed.nll, alone.nll, 1e-9 * alone.nll) << config.position_embedding_type;
    EXPECT_LE(relative_error(packed.gradients, alone.gradients), 1e-10);
  }
}

TEST(Documents, TheFusedKernelsKeepTextsApartToo) {
  const Scratch scratch;
  write_documents(scratch.path / "x");
  ModelConfig rope, window, shared;
  window.sliding_window = 4;  // packed rows take a bias there, documents alone do not
  shared.use_parallel_ffn = true;
  for (const ModelConfig& config : {rope, window, shared}) {
    const auto model = model_of(config, at::kFloat);
    const Outcome alone = pass_over(*model, *loader_of(scratch.path / "x", false, 1), 1);
    const Outcome packed = pass_over(*model, *loader_of(scratch.path / "x", true, 3), 3);
    EXPECT_EQ(packed.targets, alone.targets);
    EXPECT_NEAR(packed.nll, alone.nll, 1e-6 * alone.nll);
    EXPECT_LE(relative_error(packed.gradients, alone.gradients), 1e-5);
  }
}

TEST(Documents, PaddingChangesNoLossAndNoGradient) {
  const Scratch scratch;
  write_documents(scratch.path / "x");
  const auto model = model_of({});
  const Outcome alone = pass_over(*model, *loader_of(scratch.path / "x", false, 1), 1);
  for (const int64_t rows : {2, 5, 24}) {
    const Outcome together = pass_over(*model, *loader_of(scratch.path / "x", false, rows), rows);
    EXPECT_EQ(together.targets, alone.targets);
    EXPECT_NEAR(together.nll, alone.nll, 1e-9 * alone.nll);
    EXPECT_LE(relative_error(together.gradients, alone.gradients), 1e-10) << rows;
  }
}

TEST(Documents, BatchesAcrossStepsOfTheLoaderAreAsWideAsTheirWidestRow) {
  const Scratch scratch;
  write_documents(scratch.path / "x");
  const auto threes = loader_of(scratch.path / "x", false, 3);
  const auto whole = loader_of(scratch.path / "x", false, 24);
  const TrainingBatch a = causal_batches(*threes)(1, 20), b = causal_batches(*whole)(1, 20);
  EXPECT_TRUE(at::equal(a.input_ids, b.input_ids));
  EXPECT_TRUE(at::equal(a.targets, b.targets));
}

TEST(Documents, MaskedObjectivesLeavePaddingAndPromptsAlone) {
  const Scratch scratch;
  write_documents(scratch.path / "x");
  const auto loader = loader_of(scratch.path / "x", false, 24);
  const TrainingBatch plain = causal_batches(*loader)(0, 24);
  MaskedLmOptions masking;
  masking.probability = 1.0;
  masking.mask_id = 4;
  masking.vocab_size = kVocab;
  const TrainingBatch masked = masked_batches(*loader, masking)(0, 24);
  const TrainingBatch noisy = diffusion_batches(*loader, {NoiseSchedule::linear, 4, 1})(0, 24);
  // Token t + 1 of a row is a target of next-token prediction exactly where it may be masked.
  const int64_t cols = plain.targets.size(1);
  const at::Tensor may = (plain.targets != kIgnoreTarget).narrow(1, 0, cols - 1);
  for (const TrainingBatch* batch : {&masked, &noisy}) {
    const at::Tensor hit = (batch->targets != kIgnoreTarget).narrow(1, 1, cols - 1);
    EXPECT_FALSE((hit & ~may).any().item<bool>());
    EXPECT_FALSE((batch->targets.select(1, 0) != kIgnoreTarget).any().item<bool>());
    ASSERT_TRUE(batch->attention_mask.defined());
  }
  EXPECT_TRUE(at::equal((masked.targets != kIgnoreTarget).narrow(1, 1, cols - 1), may));
  EXPECT_EQ(noisy.target_count, may.sum().item<int64_t>()) << "all that could be masked counts";
}

}  // namespace
}  // namespace llm
