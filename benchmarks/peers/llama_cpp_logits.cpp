// llama.cpp's logits for given ids and its greedy continuation; the interface of
// ../model_logits.cpp.
//
//   llama_cpp_logits MODEL.gguf IDS OUT COUNT      float32 key/value cache, no flash attention
//
// Ids beyond the model's context are left out; the continuation is then -1.
// Built by gguf_agreement.py against llama.h and libllama of the llama.cpp that is compared.
#include <llama.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

std::vector<int32_t> read_ids(const char* path) {
  std::vector<int32_t> ids;
  if (std::FILE* file = std::fopen(path, "rb")) {
    for (int32_t id; std::fread(&id, sizeof id, 1, file) == 1;) ids.push_back(id);
    std::fclose(file);
  }
  return ids;
}

bool decode(llama_context* context, const std::vector<int32_t>& ids, int first) {
  llama_batch batch = llama_batch_init(static_cast<int>(ids.size()), 0, 1);
  for (size_t i = 0; i < ids.size(); ++i) {
    batch.token[i] = ids[i];
    batch.pos[i] = first + static_cast<int>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<int>(ids.size());
  const bool done = llama_decode(context, batch) == 0;
  llama_batch_free(batch);
  return done;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  llama_backend_init();
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  std::vector<int32_t> ids = read_ids(argv[2]);
  if (model == nullptr || ids.empty()) return 3;
  const auto context_length = static_cast<size_t>(llama_model_n_ctx_train(model));
  const bool cut = ids.size() >= context_length;
  ids.resize(std::min(ids.size(), context_length));
  const int count = std::atoi(argv[4]);
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<uint32_t>(context_length);
  params.n_batch = params.n_ubatch = static_cast<uint32_t>(ids.size());
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = params.type_v = GGML_TYPE_F32;
  params.swa_full = true;
  llama_context* context = llama_init_from_model(model, params);
  std::FILE* out = std::fopen(argv[3], "wb");
  if (context == nullptr || out == nullptr || !decode(context, ids, 0)) return 4;
  std::fwrite(llama_get_logits(context), sizeof(float),
              ids.size() * static_cast<size_t>(vocabulary), out);
  const float* last = llama_get_logits_ith(context, static_cast<int>(ids.size()) - 1);
  for (int i = 0; i < count; ++i) {
    const auto best = static_cast<int32_t>(std::max_element(last, last + vocabulary) - last);
    const int32_t next = cut ? -1 : best;
    std::fwrite(&next, sizeof next, 1, out);
    if (cut || i + 1 == count) continue;
    if (!decode(context, {next}, static_cast<int>(ids.size()) + i)) return 5;
    last = llama_get_logits_ith(context, 0);
  }
  std::fclose(out);
  llama_free(context);
  llama_model_free(model);
}
