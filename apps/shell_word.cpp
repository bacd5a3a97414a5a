#include "apps/shell_word.h"

namespace llm {

std::string shell_word(const std::string& text) {
  const bool plain =
      !text.empty() &&
      text.find_first_not_of(
          "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/+=:@%") ==
          std::string::npos;
  if (plain) {
    return text;
  }
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\'";
    }
    out += c;
  }
  return out + "'";
}

}  // namespace llm
