#include "base/wrong_content.h"

#include <algorithm>

#include "base/error.h"

namespace llm {
namespace {

bool begins_in_any_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
}

}  // namespace

void refuse_wrong_content(std::string_view start, uint64_t bytes, std::string_view name) {
  if (start.starts_with("version https://git-lfs.github.com/spec/")) {
    fail(Exit::bad_input,
         fmt::format("'{}' is a Git LFS pointer ({} bytes), not the file", name, bytes),
         "git lfs pull");
  }
  if (start.starts_with("\xEF\xBB\xBF")) start.remove_prefix(3);
  start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  if (begins_in_any_case(start, "<!doctype html") || begins_in_any_case(start, "<html")) {
    fail(Exit::bad_input, fmt::format("'{}' looks like an HTML page; the download failed", name));
  }
}

}  // namespace llm
