// Any bytes as a tokenizer file: refused with an Error or usable. A model that promises exact text
// must keep the promise.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tokenizer/sentencepiece_tokenizer.h"

namespace {

bool promises_exact_text(const llm::SentencePieceModel& model) {
  return model.byte_fallback && model.charsmap.empty() && !model.add_dummy_prefix &&
         !model.remove_extra_whitespaces;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llm;
  const std::string file(reinterpret_cast<const char*>(data), size);
  try {
    load_tokenizer_bytes(file, "fuzz");
    const SentencePieceTokenizer tokenizer(file, "fuzz");
    // The file itself is a text that holds its pieces.
    for (const std::string& text :
         {file.substr(0, 4096), std::string("  the cat\n\tsat <s> \xE2\x96\x81\xFF 東京 ")}) {
      const std::vector<int32_t> ids = tokenizer.encode(text);
      const std::string back = tokenizer.decode(ids);
      if (promises_exact_text(tokenizer.model()) && back != text) std::abort();
    }
  } catch (const Error& error) {
    if (error.code() != Exit::bad_input || error.message().empty()) std::abort();
  }
  return 0;
}
