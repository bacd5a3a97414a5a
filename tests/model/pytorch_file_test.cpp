// PyTorch's .bin through the restricted unpickler: good files give the values that were saved, bad
// ones (fuzz/corpus/unpickler, made by tests/support/make_pytorch_corpus.py) are refused by name.
#include "model/pytorch_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "base/file_io.h"
#include "model/weight_source.h"
#include "tests/model/small_models.h"
#include "tests/support/temporary_folder.h"

namespace llm::test {
namespace {

namespace fs = std::filesystem;

const fs::path kCorpus = fs::path(LLM_SOURCE_DIR) / "fuzz" / "corpus" / "unpickler";

std::string refusal_of(const std::string& name) {
  const std::string file = read_file(kCorpus / name);
  return error_of(
      [&] { parse_pytorch_file(std::as_bytes(std::span(file.data(), file.size())), "m.bin"); });
}

class GoodPytorchFile : public testing::TestWithParam<const char*> {};

TEST_P(GoodPytorchFile, GivesTheSavedValues) {
  const TemporaryFolder folder;
  fs::copy_file(kCorpus / GetParam(), folder / "pytorch_model.bin");
  const auto weights = open_weights(folder / "pytorch_model.bin");
  EXPECT_EQ(weights->format(), "PyTorch");
  EXPECT_EQ(weights->entries().size(), 9u);
  const at::Tensor base = at::arange(12, at::kFloat).view({3, 4});
  const std::map<std::string, at::Tensor> saved = {{"a", base},
                                                   {"transposed", base.t()},
                                                   {"shared", base.slice(0, 1)},
                                                   {"bf16", at::arange(3).to(at::kBFloat16)},
                                                   {"half", at::ones({2}, at::kHalf)},
                                                   {"parameter", at::tensor({1.5F, -2.0F})},
                                                   {"scalar", at::scalar_tensor(7.0F)},
                                                   {"empty", at::zeros({0, 4})},
                                                   {"ids", at::arange(4)}};
  for (const auto& [name, tensor] : saved) {
    EXPECT_TRUE(same_bits(weights->tensor(name), tensor)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Corpus, GoodPytorchFile,
                         testing::Values("good_archive", "good_stream", "good_protocol_4",
                                         "good_plain_dictionary"),
                         [](const auto& info) { return std::string(info.param); });

TEST(PytorchFile, NothingButTensorsIsNamedOrCalled) {
  const std::string pickles = "3: m.bin: PyTorch pickle files are not loaded (they can run code)";
  const std::map<std::string, std::string> named = {
      {"name_os_system", "os.system"},
      {"name_on_stack", "posix.system"},
      {"name_builtins_eval", "builtins.eval"},
      {"name_torch_load", "torch.load"},
      {"name_numpy", "numpy.core.multiarray._reconstruct"},
      {"name_module", "transformers.modeling_utils.PreTrainedModel"},
      {"opcode_inst", "opcode INST"},
      {"opcode_obj", "opcode OBJ"},
      {"opcode_newobj", "opcode NEWOBJ"},
      {"opcode_ext", "opcode EXT1"},
      {"opcode_unknown", "opcode 0xff"},
      {"build_tensor", "sets the state of an object"}};
  for (const auto& [file, what] : named) {
    const std::string message = refusal_of(file);
    expect_contains(message, pickles);
    expect_contains(message, what);
  }
}

// Every file of the corpus that is not good_*: exit 3 and a message that names the file.
TEST(PytorchFile, EveryDamagedFileIsRefused) {
  int refused = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(kCorpus)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("good_")) {
      EXPECT_EQ(refusal_of(name), "");
    } else {
      const bool another_kind = name == "git_lfs" || name == "html";
      EXPECT_TRUE(refusal_of(name).starts_with(another_kind ? "3: 'm.bin' " : "3: m.bin: "))
          << name << ": " << refusal_of(name);
      ++refused;
    }
  }
  EXPECT_GE(refused, 80);
}

TEST(PytorchFile, PlacesOutsideTheirStorageAreRefused) {
  for (const char* name : {"offset_outside", "stride_outside", "stride_wraps"}) {
    expect_contains(refusal_of(name), "a tensor reaches outside its storage of 4 elements");
  }
  expect_contains(refusal_of("storage_longer_than_entry"),
                  "tensor 'a': its storage needs 20 bytes, has 16");
}

}  // namespace
}  // namespace llm::test
