#include "apps/absolute_text.h"

#include <filesystem>

namespace llm {

std::string absolute_text(const std::string& path) {
  namespace fs = std::filesystem;
  return path.empty() || path == "-" ? path : fs::absolute(path).lexically_normal().string();
}

}  // namespace llm
