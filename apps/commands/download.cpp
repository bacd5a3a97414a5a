// llm download: a model from Hugging Face's hub into the cache that its libraries use too.
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number_text.h"
#include "base/progress.h"
#include "base/signals.h"
#include "base/stdout.h"
#include "hub/download.h"

namespace llm {
namespace {

struct DownloadConfig {
  std::string repo;
  std::string revision;
  std::vector<std::string> include, exclude;
  std::string cache_dir;
  bool json = false;

  void fields(Fields& f) {
    f("repo", repo, "ORG/NAME, or ORG/NAME@REVISION", non_empty())
        .flag("repo")
        .flag_only()
        .required()
        .value_name("REPO");
    f("revision", revision, "Branch, tag or commit")
        .flag("revision")
        .flag_only()
        .value_name("NAME");
    f("include", include, "Load the files that match, not the usual choice: '*.gguf', 'onnx/*'")
        .flag("include")
        .flag_only()
        .value_name("PATTERN");
    f("exclude", exclude, "Leave out the files that match")
        .flag("exclude")
        .flag_only()
        .value_name("PATTERN");
    f("cache_dir", cache_dir, "Instead of $HF_HUB_CACHE, $HF_HOME/hub or ~/.cache/huggingface/hub")
        .flag("cache-dir")
        .flag_only()
        .value_name("DIR");
    f("json", json, "Print one JSON object instead of the folder's name").flag("json").flag_only();
  }
};

HubRepo wanted_repo(const DownloadConfig& config) {
  const auto repo = parse_hub_repo(config.repo);
  check(repo.has_value(), "'{}' names no repository: give ORG/NAME or ORG/NAME@REVISION",
        config.repo.substr(0, 200));
  if (config.revision.empty()) return *repo;
  check(config.repo.find('@') == std::string::npos, "the revision is given twice: '{}' and '{}'",
        config.repo, config.revision);
  const auto with_revision = parse_hub_repo(config.repo + "@" + config.revision);
  check(with_revision.has_value(), "--revision: '{}' is no branch, tag or commit",
        config.revision.substr(0, 200));
  return *with_revision;
}

/// A bar per file.
std::function<void(const std::string&, uint64_t, uint64_t)> file_progress() {
  struct State {
    std::string file;
    std::unique_ptr<Progress> bar;
  };
  return
      [state = std::make_shared<State>()](const std::string& file, uint64_t done, uint64_t size) {
        if (!state->bar || state->file != file) {
          if (state->bar) state->bar->finish();
          state->file = file;
          state->bar = std::make_unique<Progress>(static_cast<int64_t>(size), file, "B");
        }
        state->bar->update(static_cast<int64_t>(done));
      };
}

void print_download(const DownloadConfig& config, const HubRepo& repo, const Download& download) {
  if (!config.json) return write_stdout(download.snapshot.string() + "\n");
  const nlohmann::ordered_json json = {{"repo", repo.id},
                                       {"revision", repo.revision},
                                       {"commit", download.commit},
                                       {"path", download.snapshot.string()},
                                       {"files", download.files},
                                       {"bytes", download.bytes},
                                       {"bytes_fetched", download.bytes_fetched}};
  write_stdout(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

int run(DownloadConfig& config, const Fields&) {
  DownloadRequest request;
  request.repo = wanted_repo(config);
  request.cache =
      config.cache_dir.empty() ? hub_cache_folder() : std::filesystem::path(config.cache_dir);
  request.include = config.include;
  request.exclude = config.exclude;
  request.progress = file_progress();
  const StopSignal stop;
  request.stop = [&stop] { return stop.requested(); };
  const Download download = download_model(HubConnection::from_environment(), request);
  request.progress = nullptr;
  if (download.stopped) {
    log_warn("stopped by {}; what came so far is kept, the same command goes on from there",
             stop.name());
    // SIGUSR1 is a clean stop elsewhere; half a model is nothing that a script may go on with.
    return stop.exit_code() != 0 ? stop.exit_code() : static_cast<int>(Exit::io);
  }
  log_info("{} file{}, {}, {} of them over the network", download.files.size(),
           download.files.size() == 1 ? "" : "s", human_bytes(download.bytes),
           human_bytes(download.bytes_fetched));
  print_download(config, request.repo, download);
  return 0;
}

}  // namespace

Command download_command() {
  return make_command<DownloadConfig>(
      {.name = "download",
       .summary = "Load a model from Hugging Face's hub into the local cache",
       .details =
           "Prints the folder; --model-path ORG/NAME finds it from then on. Takes config,\n"
           "tokenizer, chat template and weights (safetensors, else .bin, else .gguf). What is\n"
           "there already is not loaded again; what was cut off goes on. Read from the\n"
           "environment: HF_ENDPOINT HF_TOKEN HF_HOME HF_HUB_CACHE HF_HUB_OFFLINE.\n\n"
           "  llm download Qwen/Qwen3-0.6B\n"
           "  llm download org/name@v1.0 --include '*Q8_0.gguf'\n"
           "  llm generate Qwen/Qwen3-0.6B --prompt \"Once\"",
       .positional = "repo"},
      run);
}

}  // namespace llm
