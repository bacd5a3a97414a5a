// Reading side of checkpoint.h: is a checkpoint whole, and which one does a run continue from?
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file_io.h"
#include "base/json_reader.h"
#include "base/sha256.h"
#include "training/checkpoint.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// Names in a manifest are untrusted: only plain relative paths below the checkpoint.
void check_inside(const std::string& checkpoint, const std::string& name) {
  const fs::path path(name);
  bool inside = !name.empty() && path.is_relative();
  for (const fs::path& part : path) {
    inside = inside && part != ".." && part != "." && !part.empty();
  }
  check_input(inside, "{}: manifest names '{}', outside the checkpoint", checkpoint, name);
}

void verify_file(const fs::path& checkpoint, const std::string& name, int64_t size,
                 const std::string& sha256) {
  const std::string who = checkpoint.filename().string();
  const fs::path file = checkpoint / name;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(file, error);
  if (error == std::errc::permission_denied) {
    fail(Exit::io, fmt::format("cannot read '{}': {}", file.string(), error.message()));
  }
  check_input(fs::exists(status), "{}: {} is missing", who, name);
  check_input(fs::is_regular_file(status), "{}: {} is not a regular file", who, name);
  const auto actual = static_cast<int64_t>(fs::file_size(file));
  check_input(actual == size, "{}/{}: {} bytes, manifest says {}", who, name, actual, size);
  check_input(sha256_file(file) == sha256, "{}/{} is damaged (sha256 differs)", who, name);
}

/// RUN itself, or a checkpoint inside it.
bool is_run_directory(const fs::path& path) {
  return fs::is_directory(path) && !fs::exists(path / kManifestName) &&
         !path.filename().string().starts_with("step-");
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
  const nlohmann::json document = parse_json_file(manifest_file);
  const JsonView manifest(document, who + "/manifest.json");
  manifest.expect_object();
  const int64_t format = manifest.get_int("format", 1, INT64_MAX);
  check_input(format <= kCheckpointFormat, "checkpoint format {} is newer than this program ({})",
              format, kCheckpointFormat);
  const int64_t step = manifest.get_int("step", 0, INT64_MAX);
  check_input(step_of_checkpoint(checkpoint).value_or(step) == step,
              "{}: manifest.json says step {}", who, step);
  const JsonView files = manifest.at("files");
  for (const std::string& name : files.keys()) {
    check_inside(who, name);
    const JsonView entry = files.at(name);
    verify_file(checkpoint, name, entry.get_int("size", 0, INT64_MAX), entry.get_string("sha256"));
  }
  for (const char* needed :
       {"config.json", "training_state/state.json", "training_state/optimizer.safetensors"}) {
    check_input(files.has(needed), "{}: manifest does not name {}", who, needed);
  }
}

fs::path latest_checkpoint(const fs::path& run) {
  const std::vector<int64_t> steps = checkpoint_steps(run);
  check_input(!steps.empty(), "no checkpoint in '{}'", run.string());
  std::error_code error;
  const fs::path target = fs::read_symlink(run / "latest", error);
  const fs::path newest = run / checkpoint_name(steps.back());
  if (error) {
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
  check_input(there, "checkpoint '{}' does not exist", trimmed.string());
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
