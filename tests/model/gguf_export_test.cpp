// Models written as GGUF, against the files of llama.cpp's converter.
#include "model/gguf_export.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "gguf/gguf.h"
#include "model/families/families.h"
#include "model/families/tensor_map.h"
#include "model/gguf_config.h"
#include "model/gguf_weights.h"
#include "model/model_io.h"
#include "model/parameter_source.h"
#include "tests/support/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace llm {
namespace {

std::filesystem::path fixture(const std::string& name) {
  return std::filesystem::path(LLM_SOURCE_DIR "/tests/model/gguf") / (name + ".gguf");
}

std::vector<OutgoingTensor> outgoing(const LoadedModel& loaded) {
  std::vector<OutgoingTensor> tensors;
  for (const StoredTensor& stored : stored_tensors(loaded.config)) {
    tensors.push_back({stored.name, stored.shape, [&loaded, stored] {
                         std::vector<at::Tensor> parts;
                         for (const std::string& name : stored.parameters) {
                           parts.push_back(loaded.model->find_parameter(name)->tensor.detach());
                         }
                         return join_stored(stored, parts);
                       }});
  }
  return tensors;
}

void export_fixture(const std::string& name, const std::filesystem::path& to,
                    const std::string& format) {
  const LoadedModel loaded = load_model(fixture(name));
  export_gguf(to, loaded.config, outgoing(loaded),
              {.format = &parse_gguf_format(format), .name = name});
}

class GgufExport_ : public testing::TestWithParam<const char*> {};

// Every matrix, norm and bias, bit for bit, and the config with it: load(save(x)) = x.
TEST_P(GgufExport_, GivesTheFileOfTheConverterInFloat32) {
  TemporaryFolder folder;
  export_fixture(GetParam(), folder / "x.gguf", "f32");
  const auto theirs = Gguf::open(fixture(GetParam())), ours = Gguf::open(folder / "x.gguf");
  EXPECT_EQ(ours->tensors().size(), theirs->tensors().size());
  for (const GgufTensor& tensor : theirs->tensors()) {
    const GgufTensor* written = ours->find_tensor(tensor.name);
    ASSERT_NE(written, nullptr) << tensor.name;
    EXPECT_EQ(written->shape, tensor.shape) << tensor.name;
    std::vector<float> wanted(written->bytes.size() / 4), got(wanted.size());
    dequantize(*tensor.format, tensor.bytes, wanted);
    dequantize(*written->format, written->bytes, got);
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_NEAR(got[i], wanted[i], 1e-7f * std::fabs(wanted[i])) << tensor.name << " " << i;
    }
  }
  ModelConfig before = load_model_config(fixture(GetParam())),
              after = load_model_config(folder / "x.gguf");
  before.bos_token_id = after.bos_token_id;  // the tokenizer's keys
  before.eos_token_id = after.eos_token_id;
  before.pad_token_id = after.pad_token_id;
  before.further_eos_token_ids = after.further_eos_token_ids;
  EXPECT_TRUE(before == after);
}

// What the converter writes below the architecture's name, we write too, with equal values.
TEST_P(GgufExport_, HasTheKeysOfTheConverter) {
  TemporaryFolder folder;
  export_fixture(GetParam(), folder / "x.gguf", "f32");
  const auto theirs = Gguf::open(fixture(GetParam())), ours = Gguf::open(folder / "x.gguf");
  const std::string prefix = std::string(theirs->text("general.architecture")) + ".";
  for (const GgufEntry& entry : theirs->entries()) {
    if (!entry.key.starts_with(prefix)) {
      continue;
    }
    ASSERT_TRUE(ours->has(entry.key)) << entry.key;
    const GgufValue& value = *ours->find(entry.key);
    EXPECT_EQ(value.type, entry.value.type) << entry.key;
    if (value.type == GgufType::string) {
      EXPECT_EQ(ours->text(entry.key), theirs->text(entry.key));
    } else {
      EXPECT_NEAR(ours->number(entry.key), theirs->number(entry.key),
                  1e-6 * std::fabs(theirs->number(entry.key)))
          << entry.key;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, GgufExport_,
                         testing::Values("llama", "llama3", "mistral", "qwen2", "qwen3", "phi3",
                                         "gemma", "gemma2", "gemma3"),
                         [](const auto& test) { return std::string(test.param); });

std::string format_of(const Gguf& file, const char* tensor) {
  return std::string(file.find_tensor(tensor)->format->name);
}

TEST(GgufExportFormats, KeepNormsInFloat32AndTheHeadFineGrained) {
  TemporaryFolder folder;
  export_fixture("llama_q8_0", folder / "x.gguf", "q4_0");
  const auto file = Gguf::open(folder / "x.gguf");
  EXPECT_EQ(format_of(*file, "blk.0.attn_norm.weight"), "F32");
  EXPECT_EQ(format_of(*file, "output.weight"), "Q8_0");
  EXPECT_EQ(format_of(*file, "token_embd.weight"), "Q4_0");
  EXPECT_EQ(format_of(*file, "blk.1.ffn_down.weight"), "Q4_0");
  EXPECT_EQ(file->integer("general.file_type", 0, 99), 2);
  EXPECT_NO_THROW(load_model(folder / "x.gguf"));
}

TEST(GgufExportFormats, RowsThatAreNoBlocksBecomeFloat16) {
  TemporaryFolder folder;
  export_fixture("llama", folder / "x.gguf", "q8_0");  // rows of 48
  const auto file = Gguf::open(folder / "x.gguf");
  EXPECT_EQ(format_of(*file, "blk.0.attn_q.weight"), "F16");
  EXPECT_EQ(format_of(*file, "blk.0.ffn_down.weight"), "Q8_0");  // rows of 64
}

// A Q8_0 matrix quantised again is the same matrix.
TEST(GgufExportFormats, Q8OfQ8ChangesNothing) {
  TemporaryFolder folder;
  export_fixture("llama_q8_0", folder / "x.gguf", "q8_0");
  const auto theirs = Gguf::open(fixture("llama_q8_0")), ours = Gguf::open(folder / "x.gguf");
  for (const char* name : {"token_embd.weight", "blk.1.attn_q.weight", "blk.0.ffn_down.weight"}) {
    const GgufTensor *a = theirs->find_tensor(name), *b = ours->find_tensor(name);
    EXPECT_TRUE(std::equal(a->bytes.begin(), a->bytes.end(), b->bytes.begin(), b->bytes.end()))
        << name;
  }
}

TEST(GgufExportFormats, SameModelSameBytes) {
  TemporaryFolder folder;
  export_fixture("qwen3", folder / "x.gguf", "bf16");
  export_fixture("qwen3", folder / "y.gguf", "bf16");
  EXPECT_EQ(folder.read("x.gguf"), folder.read("y.gguf"));
}

TEST(GgufExportFormats, OthersAreRefused) {
  expect_error([] { (void)parse_gguf_format("q6_k"); }, Exit::usage,
               "GGUF type 'q6_k' cannot be written; choose one of F32 F16 Q4_0 Q8_0 BF16");
}

TEST(GgufExportRefusals, NumbersThatTheFormatCannotHold) {
  TemporaryFolder folder;
  const LoadedModel loaded = load_model(fixture("llama"));
  at::NoGradGuard no_grad;
  at::Tensor weight =
      loaded.model->find_parameter("model.layers.1.mlp.up_proj.weight")->tensor.detach();
  weight[3][5] = 70000;
  const std::string path = (folder / "x.gguf").string();
  const auto write = [&](const char* format) {
    export_gguf(path, loaded.config, outgoing(loaded), {.format = &parse_gguf_format(format)});
  };
  expect_error([&] { write("f16"); }, Exit::bad_input,
               path +
                   ": tensor 'model.layers.1.mlp.up_proj.weight' contains 70000, more than "
                   "float16 can hold",
               "--type bf16 or f32");
  EXPECT_NO_THROW(write("bf16"));
  weight[3][5] = std::nan("");
  expect_error([&] { write("bf16"); }, Exit::bad_input,
               path +
                   ": tensor 'model.layers.1.mlp.up_proj.weight' contains 1 value that are NaN "
                   "or infinite");
}

TEST(GgufExportRefusals, ModelsThatGgufCannotSay) {
  TemporaryFolder folder;
  const std::string path = (folder / "x.gguf").string();
  const auto refused = [&](const char* name, const std::function<void(ModelConfig&)>& change,
                           const std::string& message) {
    LoadedModel loaded = load_model(fixture(name));
    const std::vector<OutgoingTensor> tensors = outgoing(loaded);
    change(loaded.config);
    expect_error(
        [&] { export_gguf(path, loaded.config, tensors, {.format = &parse_gguf_format("f32")}); },
        Exit::bad_input, path + ": " + message);
    EXPECT_FALSE(std::filesystem::exists(path));
  };
  refused(
      "gemma2", [](ModelConfig& config) { config.query_pre_attn_scalar = 24; },
      "GGUF (gemma2) cannot say query_pre_attn_scalar 24");
  refused(
      "llama", [](ModelConfig& config) { config.norm_type = "layer_norm"; },
      "models of the family llm cannot be written as GGUF; llama, mistral, qwen2, qwen3, phi3, "
      "gemma, gemma2 and gemma3_text can");
}

// llama.cpp refuses a file that does not say.
TEST(GgufExportTokenizer, ItsAbsenceIsSaid) {
  TemporaryFolder folder;
  export_fixture("llama", folder / "x.gguf", "f32");
  EXPECT_EQ(Gguf::open(folder / "x.gguf")->text("tokenizer.ggml.model"), "none");
}

TEST(GgufExportTokenizer, AllTokensThatEndATextGoAlong) {
  TemporaryFolder folder;
  LoadedModel loaded = load_model(fixture("llama"));
  loaded.config.eos_token_id = 2;
  loaded.config.further_eos_token_ids = {7, 9};
  GgufMetadata tokenizer;
  tokenizer.uint32("tokenizer.ggml.eos_token_id", 2);
  export_gguf(folder / "x.gguf", loaded.config, outgoing(loaded),
              {.format = &parse_gguf_format("f32"), .tokenizer = tokenizer});
  const auto file = Gguf::open(folder / "x.gguf");
  EXPECT_EQ(file->integer("tokenizer.ggml.eot_token_id", 0, 299), 7);
  EXPECT_EQ(file->integer("tokenizer.ggml.eom_token_id", 0, 299), 9);
  const ModelConfig read = load_model_config(folder / "x.gguf");
  EXPECT_EQ(read.eos_token_id, 2);
  EXPECT_EQ(read.further_eos_token_ids, (std::vector<int64_t>{7, 9}));
}

TEST(GgufExportWindow, BecomesTheContextWhereLlamaCppHasNone) {
  const std::pair<const char*, const char*> cases[] = {
      {"mistral", "llama"}, {"qwen2", "qwen2"}, {"phi3", "phi3"}};
  for (const auto& [name, architecture] : cases) {
    TemporaryFolder folder;
    LoadedModel loaded = load_model(fixture(name));
    loaded.config.model_type = name;
    loaded.config.sliding_window = 16;
    export_gguf(folder / "x.gguf", loaded.config, outgoing(loaded),
                {.format = &parse_gguf_format("f32")});
    const auto file = Gguf::open(folder / "x.gguf");
    const std::string prefix = architecture;
    EXPECT_EQ(file->integer(prefix + ".context_length", 1, 999), 16) << name;
    EXPECT_EQ(file->integer_or(prefix + ".attention.sliding_window", 0, 999, 0), 0) << name;
  }
}

}  // namespace
}  // namespace llm
