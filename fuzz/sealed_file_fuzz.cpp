// Any bytes as an encrypted file under the key 00 01 02 ... 1f, with which the corpus is sealed:
// refused with an Error that names the file, or opened; what does not begin as one is a plain file.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/sealed_file.h"

namespace {

llm::EncryptionKey counting_key() {
  std::array<std::byte, llm::EncryptionKey::kBytes> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  return llm::EncryptionKey(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const int descriptor = ::memfd_create("sealed", 0);
  if (descriptor < 0 || ::write(descriptor, data, size) != static_cast<ssize_t>(size)) std::abort();
  const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const llm::MappedFile file = llm::open_file(path, counting_key());
    const bool plain = file.size() == size && !llm::is_sealed(bytes);
    if (!plain && llm::sealed_bytes(file.size(), 8) != size) std::abort();
  } catch (const llm::Error& error) {
    if (error.code() != llm::Exit::bad_input || !error.message().starts_with("'" + path + "'") ||
        !llm::is_sealed(bytes))
      std::abort();
  }
  ::close(descriptor);
  return 0;
}
