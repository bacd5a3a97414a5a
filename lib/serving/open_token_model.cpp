// Whichever way to a model is enough; see load_token_model.h.
#include "base/late_library.h"
#include "serving/load_token_model.h"

namespace llm {

LoadedTokenModel open_token_model(const std::filesystem::path& path,
                                  const TokenModelOptions& options) {
  if (auto packed = load_packed_model(path, options)) return std::move(*packed);
  using Loader = LoadTokenModel* (*)();
  const auto loader =
      reinterpret_cast<Loader>(late_function("libllm_serving.so", "llm_token_model_loader"));
  return loader()(path, options);
}

}  // namespace llm
