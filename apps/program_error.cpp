#include "apps/program_error.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/log.h"

namespace llm {
namespace {

/// LibTorch's texts go on for pages; the first line is the cause.
std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

/// LibTorch has no type of its own for memory that the host refuses, and this half of the program
/// does not know its types (apps/torch_side.h).
bool says_out_of_memory(std::string_view text) {
  constexpr std::array<std::string_view, 4> kSigns{"DefaultCPUAllocator: ", "CUDA out of memory",
                                                   "CUDA error: out of memory",
                                                   "Storage size calculation overflowed"};
  return std::any_of(kSigns.begin(), kSigns.end(), [&](std::string_view sign) {
    return text.find(sign) != std::string_view::npos;
  });
}

Error out_of_memory() {
  return {Exit::internal, "not enough memory",
          "a smaller batch, sequence length or model needs less"};
}

}  // namespace

Error error_in_flight() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::filesystem::filesystem_error& error) {
    const bool no_name = error.code() == std::errc::filename_too_long ||
                         error.code() == std::errc::too_many_symbolic_link_levels;
    return {no_name ? Exit::bad_input : Exit::io,
            fmt::format("'{}': {}", error.path1().string(), error.code().message())};
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::length_error&) {  // more elements than a vector or string can ever have
    return out_of_memory();
  } catch (const std::exception& error) {
    const std::string cause = first_line(error.what());
    return says_out_of_memory(cause) ? out_of_memory()
                                     : Error(Exit::internal, "internal error: " + cause);
  }
}

int report_failure(const Error& error) {
  if (!error.message().empty()) {  // a closed pipe is no news to who closed it
    log_failure(error.message(), error.hint());
  }
  return static_cast<int>(error.code());
}

}  // namespace llm
