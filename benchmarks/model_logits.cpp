// Logits of a model for given ids and its greedy continuation, in float32: what gguf_agreement.py
// compares with llama.cpp (peers/llama_cpp_logits.cpp has the same interface).
//
//   model_logits MODEL IDS OUT COUNT
//
// IDS holds int32 ids; OUT gets their logits (float32, ids x vocabulary) and then COUNT int32 ids,
// each the largest logit after everything before it.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_io.h"
#include "benchmarks/guarded_main.h"
#include "model/model_io.h"

namespace llm {
namespace {

int run(int argc, char** argv) {
  check(argc == 5, "usage: model_logits MODEL IDS OUT COUNT");
  const std::string bytes = read_file(argv[2]);
  std::vector<int32_t> given(bytes.size() / sizeof(int32_t));
  std::memcpy(given.data(), bytes.data(), given.size() * sizeof(int32_t));
  std::vector<int64_t> ids(given.begin(), given.end());
  const LoadedModel loaded = load_model(argv[1]);
  at::NoGradGuard no_grad;
  const auto logits = [&] {
    const at::Tensor all = at::tensor(at::ArrayRef<int64_t>(ids)).unsqueeze(0);
    return loaded.model->logits(loaded.model->hidden_states(all)).squeeze(0).to(at::kFloat);
  };
  std::string out;
  const auto put = [&out](const void* data, size_t size) {
    out.append(static_cast<const char*>(data), size);
  };
  const at::Tensor first = logits().contiguous();
  put(first.const_data_ptr(), first.nbytes());
  for (int i = 0; i < std::atoi(argv[4]); ++i) {
    ids.push_back(logits()[-1].argmax().item<int64_t>());
    const auto id = static_cast<int32_t>(ids.back());
    put(&id, sizeof id);
  }
  write_file_atomically(argv[3], out);
  return 0;
}

}  // namespace
}  // namespace llm

int main(int argc, char** argv) {
  return guarded_main("model_logits", [&] { return llm::run(argc, argv); });
}
