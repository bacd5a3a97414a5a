#include "base/path_queries.h"

#include <system_error>

#include "base/error.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

bool is_absence(const std::error_code& error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
}

[[noreturn]] void fail_to_read(const fs::path& path, const std::error_code& error) {
  fail(Exit::io, fmt::format("cannot read '{}': {}", path.string(), error.message()));
}

template <typename Iterator>
std::vector<fs::directory_entry> entries_by(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  Iterator at(folder, error);
  if (is_absence(error)) return entries;
  for (; !error && at != Iterator(); at.increment(error)) entries.push_back(*at);
  if (error) fail_to_read(folder, error);
  return entries;
}

}  // namespace

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  return entries_by<fs::directory_iterator>(folder);
}

std::vector<fs::directory_entry> entries_below(const fs::path& folder) {
  return entries_by<fs::recursive_directory_iterator>(folder);
}

fs::path link_target(const fs::path& link) {
  std::error_code error;
  fs::path target = fs::read_symlink(link, error);
  const bool no_link = is_absence(error) || error == std::errc::invalid_argument;
  if (error && !no_link) fail_to_read(link, error);
  return target;
}

bool are_same(const fs::path& a, const fs::path& b) {
  return fs::exists(a) && fs::exists(b) && fs::equivalent(a, b);
}

}  // namespace llm
