#include "hub/hub_cache.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxPart = 96;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// One half of a repository's name.
bool is_name_part(std::string_view part) {
  return !part.empty() && part.size() <= kMaxPart && is_word(part.front()) &&
         is_word(part.back()) &&
         std::all_of(part.begin(), part.end(),
                     [](char c) { return is_word(c) || c == '-' || c == '.'; }) &&
         part.find("--") == std::string_view::npos && part.find("..") == std::string_view::npos;
}

bool is_revision(std::string_view text) {
  return text.size() <= 255 && is_safe_file_name(text) &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_word(c) || c == '-' || c == '.' || c == '/' || c == '+';
         });
}

}  // namespace

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_safe_file_name(std::string_view name) {
  if (name.empty() || name.size() > 1024) return false;
  const auto bad = [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '\\';
  };
  if (std::any_of(name.begin(), name.end(), bad)) return false;
  while (true) {
    const std::string_view part = name.substr(0, name.find('/'));
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    if (part.size() == name.size()) return true;
    name.remove_prefix(part.size() + 1);
  }
}

bool is_safe_blob_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_word(c) || c == '-' || c == '.'; }) &&
         !name.ends_with(".incomplete");
}

bool is_commit_hash(std::string_view text) { return text.size() == 40 && is_hex(text); }

std::optional<HubRepo> parse_hub_repo(std::string_view text) {
  HubRepo repo;
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    repo.revision = text.substr(at + 1);
    if (!is_revision(repo.revision)) return std::nullopt;
    text = text.substr(0, at);
  }
  const size_t slash = text.find('/');
  const bool valid = slash == std::string_view::npos ? is_name_part(text)
                                                     : is_name_part(text.substr(0, slash)) &&
                                                           is_name_part(text.substr(slash + 1));
  if (!valid) return std::nullopt;
  repo.id = text;
  return repo;
}

fs::path hub_home_folder() {
  if (const std::string home = environment("HF_HOME"); !home.empty()) return home;
  if (const std::string cache = environment("XDG_CACHE_HOME"); !cache.empty()) {
    return fs::path(cache) / "huggingface";
  }
  return fs::path(environment("HOME")) / ".cache" / "huggingface";
}

fs::path hub_cache_folder() {
  if (const std::string cache = environment("HF_HUB_CACHE"); !cache.empty()) return cache;
  return hub_home_folder() / "hub";
}

fs::path hub_repo_folder(const fs::path& cache, const HubRepo& repo) {
  std::string folder = "models--" + repo.id;
  if (const size_t slash = folder.find('/'); slash != std::string::npos)
    folder.replace(slash, 1, "--");
  return cache / folder;
}

std::optional<fs::path> find_hub_snapshot(const fs::path& cache, const HubRepo& repo) {
  const fs::path folder = hub_repo_folder(cache, repo);
  std::string commit = repo.revision;
  std::ifstream reference(folder / "refs" / repo.revision);
  if (std::string line; reference && std::getline(reference, line)) commit = line;
  while (!commit.empty() && (commit.back() == '\r' || commit.back() == ' ')) commit.pop_back();
  if (!is_safe_blob_name(commit)) return std::nullopt;
  std::error_code ignored;
  const fs::path snapshot = folder / "snapshots" / commit;
  return fs::is_directory(snapshot, ignored) ? std::optional(snapshot) : std::nullopt;
}

std::optional<fs::path> find_in_hub_cache(std::string_view name) {
  const auto repo = parse_hub_repo(name);
  return repo ? find_hub_snapshot(hub_cache_folder(), *repo) : std::nullopt;
}

}  // namespace llm
