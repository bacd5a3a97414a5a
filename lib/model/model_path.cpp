#include "model/model_path.h"

#include <fmt/format.h>

#include <string_view>

#include "base/error.h"
#include "hub/hub_cache.h"
#include "model/lora_adapter.h"
#include "model/manifest.h"
#include "model/run_layout.h"
#include "model/unpickler.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHowToMake =
    "make one: llm create-config --type mini --output mini.yaml && llm pretrain --config mini.yaml";

bool is_model_directory(const fs::path& path) { return fs::exists(path / "config.json"); }

bool is_run_directory(const fs::path& path) {
  return fs::exists(path / "config.yaml") || fs::exists(path / "run.json") ||
         fs::is_symlink(path / "latest") || fs::is_symlink(path / "best") ||
         fs::exists(path / "final");
}

fs::path checkpoint_of_run(const fs::path& run) {
  if (is_model_directory(run / "final")) {
    return run / "final";
  }
  for (const char* link : {"best", "latest"}) {
    if (std::string_view(link) == "latest" && latest_is_behind(run)) break;
    const fs::path path = run / link;
    if (is_model_directory(path)) {
      return path;
    }
    if (fs::is_symlink(path) && !fs::exists(path)) {
      const std::string newest = newest_complete_checkpoint(run);
      fail(Exit::bad_input,
           fmt::format(
               "{} → {} does not exist; {}", path.string(), fs::read_symlink(path).string(),
               newest.empty() ? "no checkpoint is complete" : "newest complete is " + newest));
    }
  }
  if (const std::string newest = newest_complete_checkpoint(run); !newest.empty()) {
    return run / newest;
  }
  fail(Exit::bad_input, fmt::format("no checkpoint in '{}'", run.string()), kHowToMake);
}

fs::path find_model(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) {  // neither there nor absent
    errno = error.value();
    fail_errno(fmt::format("no model at '{}'", path.string()), exit_of_failed_open());
  }
  if (!fs::exists(status)) {
    if (const auto snapshot = find_in_hub_cache(path.string())) {
      return find_model(*snapshot);
    }
    const bool may_be_repo =
        path.string().find('/') != std::string::npos && parse_hub_repo(path.string());
    fail(Exit::bad_input,
         fmt::format("no model at '{}': {}{}", path.string(), error.message(),
                     may_be_repo ? ", and none of that name in the cache '" +
                                       hub_cache_folder().string() + "'"
                                 : ""),
         may_be_repo
             ? fmt::format("load it first: llm download {}; or {}", path.string(), kHowToMake)
             : kHowToMake);
  }
  if (fs::is_regular_file(status)) {
    const std::string name = path.filename().string(), suffix = path.extension().string();
    if (suffix == ".gguf") {
      return path;
    }
    if (suffix == ".safetensors" || suffix == ".bin" || name.ends_with(".index.json") ||
        name == "config.json") {
      return find_model(path.has_parent_path() ? path.parent_path() : fs::path("."));
    }
    if (suffix == ".pt" || suffix == ".pth" || suffix == ".ckpt") {
      refuse_pickle(path.string());
    }
    fail(Exit::bad_input,
         fmt::format("'{}' is a file, expected a model or run directory", path.string()));
  }
  if (!fs::is_directory(status)) {
    fail(Exit::bad_input, fmt::format("'{}' is not a directory", path.string()));
  }
  const bool is_step = path.filename().string().starts_with(kStepPrefix);
  if (is_step && !fs::exists(path / kManifestName)) {
    fail(Exit::bad_input,
         fmt::format("{} is incomplete (no manifest; save was interrupted)", path.string()));
  }
  if (is_model_directory(path)) {
    return path;
  }
  if (is_run_directory(path) || !newest_complete_checkpoint(path).empty()) {
    return checkpoint_of_run(path);
  }
  if (is_adapter_directory(path)) {
    fail(Exit::bad_input, fmt::format("'{}' is a LoRA adapter, not a model", path.string()),
         "generate, chat and api take it as --model-path; others take its base");
  }
  if (fs::exists(path / kManifestName)) {
    fail(Exit::bad_input, fmt::format("{}: config.json is missing", path.string()));
  }
  fail(Exit::bad_input, fmt::format("no checkpoint in '{}'", path.string()), kHowToMake);
}

}  // namespace

fs::path resolve_model_path(const fs::path& path) {
  fs::path model = find_model(path);
  check_model_sizes(model);
  return model;
}

}  // namespace llm
