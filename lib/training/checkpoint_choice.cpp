// Reading side of checkpoint.h: is a checkpoint whole, and which one does a run continue from?
#include <algorithm>

#include "base/error.h"
#include "base/file_io.h"
#include "base/path_queries.h"
#include "base/sha256.h"
#include "training/checkpoint.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// RUN itself, or a checkpoint inside it.
bool is_run_directory(const fs::path& path) {
  return fs::is_directory(path) && !fs::exists(path / kManifestName) &&
         !path.filename().string().starts_with(kStepPrefix);
}

std::optional<ResumeChoice> newest_good(const fs::path& run) {
  ResumeChoice choice;
  std::vector<fs::path> damaged;
  const std::vector<int64_t> steps = checkpoint_steps(run);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const fs::path checkpoint = run / checkpoint_name(*step);
    try {
      verify_checkpoint(checkpoint);
      choice.checkpoint = checkpoint;
      for (const fs::path& path : damaged) {
        const fs::path aside = path.string() + ".damaged";
        remove_tree(aside);
        rename_path(path, aside);
      }
      return choice;
    } catch (const Error& error) {
      if (error.code() != Exit::bad_input) {
        throw;
      }
      choice.passed_over.push_back(error.message());
      damaged.push_back(checkpoint);
    }
  }
  if (choice.passed_over.empty()) {
    return std::nullopt;
  }
  fail(Exit::bad_input,
       fmt::format("no checkpoint of '{}' is whole: {}", run.string(), choice.passed_over.front()),
       "start over with --resume-from-checkpoint never --force, or name another --output-dir");
}

}  // namespace

void verify_checkpoint(const fs::path& checkpoint) {
  const std::string who = checkpoint.filename().string();
  const fs::path manifest_file = checkpoint / kManifestName;
  std::error_code error;
  if (!fs::exists(manifest_file, error) && !error) {
    fail(Exit::bad_input, fmt::format("{} is incomplete (no manifest; save was interrupted)", who));
  }
  const Manifest manifest = read_manifest(checkpoint);
  check_input(step_of_checkpoint(checkpoint).value_or(manifest.step) == manifest.step,
              "{}: manifest.json says step {}", who, manifest.step);
  for (const ManifestFile& file : manifest.files) {
    check_file_size(checkpoint, file);
    check_input(sha256_file(checkpoint / file.name) == file.sha256,
                "{}/{} is damaged (sha256 differs)", who, file.name);
  }
  for (const char* needed :
       {"config.json", "training_state/state.json", "training_state/optimizer.safetensors"}) {
    const bool named = std::any_of(manifest.files.begin(), manifest.files.end(),
                                   [&](const ManifestFile& file) { return file.name == needed; });
    check_input(named, "{}: manifest does not name {}", who, needed);
  }
}

fs::path latest_checkpoint(const fs::path& run) {
  const std::vector<int64_t> steps = checkpoint_steps(run);
  check_input(!steps.empty(), "no checkpoint in '{}'", run.string());
  if (latest_is_behind(run)) return run / newest_complete_checkpoint(run);
  const fs::path target = link_target(run / "latest");
  const fs::path newest = run / checkpoint_name(steps.back());
  if (target.empty()) {
    return newest;
  }
  check_input(fs::is_directory(run / target), "latest -> {} does not exist; newest complete is {}",
              target.string(), newest.filename().string());
  return run / target;
}

std::optional<ResumeChoice> choose_checkpoint(const fs::path& run, const std::string& resume_from) {
  if (resume_from == "never") {
    return std::nullopt;
  }
  if (resume_from == "auto") {
    return newest_good(run);
  }
  const fs::path path = fs::path(resume_from).lexically_normal();
  const fs::path trimmed = path.has_filename() ? path : path.parent_path();
  std::error_code error;
  const bool there = fs::exists(trimmed, error);
  if (error) {
    fail(Exit::io, fmt::format("cannot read '{}': {}", trimmed.string(), error.message()));
  }
  if (!there) {
    // Of a run that went back and has come further since, its clean-up may have taken that one.
    const std::string newest = newest_complete_checkpoint(run);
    const bool own = fs::equivalent(trimmed.parent_path(), run, error) && !newest.empty();
    fail(Exit::bad_input, fmt::format("checkpoint '{}' does not exist", trimmed.string()),
         own ? fmt::format("--resume-from-checkpoint auto goes on from {}", newest) : "");
  }
  if (!fs::is_directory(trimmed)) {
    const std::string suffix = trimmed.extension().string();
    const bool pickle =
        suffix == ".pt" || suffix == ".pth" || suffix == ".bin" || suffix == ".ckpt";
    fail(Exit::bad_input,
         pickle ? "PyTorch pickle files are not loaded (they can run code)"
                : fmt::format("'{}' is not a checkpoint directory", trimmed.string()),
         pickle ? "convert the weights to safetensors first"
                : "name a directory such as checkpoints/step-00001000");
  }
  ResumeChoice choice;
  choice.checkpoint =
      is_run_directory(trimmed) ? latest_checkpoint(trimmed) : fs::canonical(trimmed);
  verify_checkpoint(choice.checkpoint);
  return choice;
}

}  // namespace llm
