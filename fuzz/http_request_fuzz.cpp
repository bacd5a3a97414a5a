// Any bytes on a connection: whole or byte by byte they give the same requests and the same
// refusal, and nothing beyond the limits is kept.
// Sources: lib/serving/http/request_reader.cpp lib/serving/http/chunk_decoder.cpp
// Sources: lib/serving/http/request.cpp
#include "serving/http/request_reader.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace http = llm::http;
using State = http::RequestReader::State;

constexpr size_t kHeader = 512, kBody = 256;

static std::string outcome(std::string_view text, size_t piece) {
  http::RequestReader reader(kHeader, kBody);
  std::string told;
  while (!text.empty()) {
    std::string_view bytes = text.substr(0, piece);
    text.remove_prefix(bytes.size());
    while (!bytes.empty()) {
      const size_t used = reader.feed(bytes);
      if (used == 0 && reader.state() != State::refused) std::abort();  // would wait for ever
      bytes.remove_prefix(used);
      if (reader.state() == State::complete) {
        const http::Request request = reader.take();
        if (request.body.size() > kBody || request.path.empty() || request.path[0] != '/')
          std::abort();
        told += request.method + " " + request.path + "\n";
        for (const auto& [name, value] : request.headers) told += name + "=" + value + "\n";
        told += request.body + "\n";
      } else if (reader.state() == State::refused) {
        const int status = reader.refusal().status;
        if (status < 400 || status > 505) std::abort();
        return told + std::to_string(status);
      }
    }
  }
  return told;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::string whole = outcome(text, size + 1);
  if (outcome(text, 1) != whole || outcome(text, 7) != whole) std::abort();
  return 0;
}
