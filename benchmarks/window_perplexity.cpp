// Perplexity of a text in fixed windows, counted as llama.cpp's llama-perplexity counts: windows of
// --context tokens one after another, each on its own, the first token replaced by the begin token
// where the tokenizer adds one; the second half of a window is scored.
//
//   window_perplexity MODEL TEXT [CONTEXT] [WINDOWS] [IDS]    256 and 0 = all; float32 throughout
//   llama-perplexity -m MODEL.gguf -f TEXT -c CONTEXT -b CONTEXT -ctk f32 -ctv f32 -fa off
//
// IDS: a file that gets the text's ids, int32. See gguf_agreement.py.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/file_io.h"
#include "benchmarks/guarded_main.h"
#include "gguf/gguf.h"
#include "model/model_io.h"
#include "tokenizer/gguf_tokenizer.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_parts.h"

namespace llm {
namespace {

struct Score {
  double nats = 0;
  int64_t tokens = 0;
};

Score score_window(const Transformer& model, const std::vector<int64_t>& window) {
  const auto length = static_cast<int64_t>(window.size());
  const at::Tensor ids = at::tensor(at::ArrayRef<int64_t>(window)).unsqueeze(0);
  const at::Tensor logits = model.logits(model.hidden_states(ids)).squeeze(0);
  const int64_t first = length / 2;
  const at::Tensor scored = at::log_softmax(logits.slice(0, first, length - 1).to(at::kDouble), -1);
  const at::Tensor next = ids.squeeze(0).slice(0, first + 1, length).unsqueeze(1);
  return {-scored.gather(1, next).sum().item<double>(), length - 1 - first};
}

int run(int argc, char** argv) {
  check(argc >= 3, "usage: window_perplexity MODEL TEXT [CONTEXT] [WINDOWS] [IDS]");
  const int64_t context = argc > 3 ? std::atoll(argv[3]) : 256;
  const int64_t most = argc > 4 ? std::atoll(argv[4]) : 0;
  const LoadedModel loaded = load_model(argv[1]);
  const auto tokenizer = load_tokenizer(loaded.directory);
  const bool add_bos = is_gguf_file(loaded.directory)
                           ? gguf_tokenizer_parts(*Gguf::open(loaded.directory)).add_bos
                           : tokenizer_parts(*tokenizer).add_bos;
  std::vector<int32_t> ids = tokenizer->encode(read_file(argv[2]));
  if (add_bos) {
    ids.insert(ids.begin(), tokenizer->bos_id());
  }
  if (argc > 5) {
    write_file_atomically(
        argv[5], {reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof(int32_t)});
  }
  const int64_t all = static_cast<int64_t>(ids.size()) / context;
  const int64_t windows = most > 0 ? std::min(most, all) : all;
  check(windows > 0, "the text has {} tokens, a window needs {}", ids.size(), context);
  at::NoGradGuard no_grad;
  Score total;
  for (int64_t i = 0; i < windows; ++i) {
    std::vector<int64_t> window(ids.begin() + i * context, ids.begin() + (i + 1) * context);
    if (add_bos) {
      window[0] = tokenizer->bos_id();
    }
    const Score score = score_window(*loaded.model, window);
    total.nats += score.nats;
    total.tokens += score.tokens;
  }
  fmt::print("{}: {} tokens, {} windows of {}, perplexity {:.4f}\n", argv[1], ids.size(), windows,
             context, std::exp(total.nats / static_cast<double>(total.tokens)));
  return 0;
}

}  // namespace
}  // namespace llm

int main(int argc, char** argv) {
  return guarded_main("window_perplexity", [&] { return llm::run(argc, argv); });
}
