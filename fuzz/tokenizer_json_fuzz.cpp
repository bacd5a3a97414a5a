// Any bytes as a tokenizer.json or tiktoken file: refused with an Error or usable. Ids stay inside
// the vocabulary, and a loaded tokenizer can be taken apart or says why not.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_parts.h"

namespace {

void use(const llm::Tokenizer& tokenizer, const std::string& text) {
  for (const auto& ids : {tokenizer.encode(text), tokenizer.encode_with_special(text),
                          tokenizer.with_template(tokenizer.encode(text))}) {
    for (const int32_t id : ids) {
      if (id < 0 || id >= tokenizer.vocab_size()) std::abort();
    }
    tokenizer.decode(ids);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace llm;
  const std::string file(reinterpret_cast<const char*>(data), size);
  try {
    const auto tokenizer = load_tokenizer_bytes(file, "fuzz");
    use(*tokenizer, file.substr(0, 2048));
    use(*tokenizer, "  the cat\n\tsat <s> \xE2\x96\x81\xFF 東京 e\xCC\x81 12 ");
    make_tokenizer(tokenizer_parts(*tokenizer), "parts");
  } catch (const Error& error) {
    if (error.code() != Exit::bad_input || error.message().empty()) std::abort();
  }
  return 0;
}
