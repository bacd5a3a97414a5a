// The cache of Hugging Face's hub on this machine: where it is, and which models are in it.
//
// The layout is the one that huggingface_hub documents, so models downloaded by either are there
// for both: models--org--name/{blobs/<etag>, snapshots/<commit>/<file> -> ../../blobs/<etag>,
// refs/<branch>}. Nothing here opens a socket. Names are checked before they become paths. Pure
// functions of the file system and the environment; thread-safe.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace llm {

struct HubRepo {
  std::string id;                 // "org/name" or "name"
  std::string revision = "main";  // branch, tag or commit
};

/// "org/name", "name", "org/name@revision"; nothing if it cannot be one.
std::optional<HubRepo> parse_hub_repo(std::string_view text);

/// $HF_HUB_CACHE, else $HF_HOME/hub, else $XDG_CACHE_HOME/huggingface/hub, else
/// ~/.cache/huggingface/hub.
std::filesystem::path hub_cache_folder();
/// $HF_HOME, else $XDG_CACHE_HOME/huggingface, else ~/.cache/huggingface.
std::filesystem::path hub_home_folder();

/// <cache>/models--org--name.
std::filesystem::path hub_repo_folder(const std::filesystem::path& cache, const HubRepo& repo);

/// The folder snapshots/<commit> of this revision, if it is there.
std::optional<std::filesystem::path> find_hub_snapshot(const std::filesystem::path& cache,
                                                       const HubRepo& repo);

/// A model path that names a repository, in the cache of this machine.
std::optional<std::filesystem::path> find_in_hub_cache(std::string_view name);

/// The value of an environment variable, "" where it is not set.
std::string environment(const char* name);
/// True for a relative name without "..", "." or empty parts, backslashes and control characters.
bool is_safe_file_name(std::string_view name);
/// True for what may name a file in blobs/: an entity tag without quotes.
bool is_safe_blob_name(std::string_view name);
bool is_commit_hash(std::string_view text);

}  // namespace llm
