#include "training/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "base/path_queries.h"
#include "base/sha256.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

std::string manifest_text(const fs::path& directory, int64_t step) {
  nlohmann::ordered_json manifest;
  manifest["format"] = kCheckpointFormat;
  manifest["step"] = step;
  manifest["files"] = nlohmann::ordered_json::object();
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : entries_below(directory)) {
    if (entry.is_regular_file()) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    manifest["files"][fs::relative(file, directory).generic_string()] = {
        {"size", fs::file_size(file)}, {"sha256", sha256_file(file)}};
  }
  return dump_json(manifest, 2) + "\n";
}

bool verifies(const fs::path& checkpoint) {
  try {
    verify_checkpoint(checkpoint);
    return true;
  } catch (const Error& error) {
    log_warn("{}", error.message());
    return false;
  }
}

/// A file in a whole checkpoint that no save wrote, if there is one: whoever put it there wants it.
fs::path added_file(const fs::path& checkpoint) {
  std::set<std::string> known{kManifestName};
  try {
    for (const ManifestFile& file : read_manifest(checkpoint).files) known.insert(file.name);
  } catch (const Error&) {
    return {};
  }
  for (const fs::directory_entry& entry : entries_below(checkpoint)) {
    const fs::path name = fs::relative(entry.path(), checkpoint);
    if (!entry.is_directory() && !known.contains(name.generic_string())) return name;
  }
  return {};
}

}  // namespace

fs::path save_checkpoint(const fs::path& run, int64_t step,
                         const std::vector<CheckpointPart>& parts, int64_t expected_bytes) {
  const fs::path target = run / checkpoint_name(step);
  const std::string previous = newest_complete_checkpoint(run);
  const std::string note = previous.empty() ? "" : previous + " is intact";
  try {
    AtomicDirectory directory(target, static_cast<uint64_t>(expected_bytes), note);
    for (const CheckpointPart& part : parts) {
      part(directory.temporary());
    }
    directory.sync_files();
    directory.write_file(kManifestName, manifest_text(directory.temporary(), step));
    directory.commit();
  } catch (const Error& error) {
    if (error.code() != Exit::io || note.empty() ||
        error.message().find(note) != std::string::npos) {
      throw;
    }
    fail(Exit::io, fmt::format("{}; {}", error.message(), note), error.hint());
  }
  point_to(run, "latest", target);
  return target;
}

void point_to(const fs::path& run, const std::string& link, const fs::path& checkpoint) {
  replace_symlink(run / link, checkpoint.filename());
}

namespace {

void clear_away_old(const fs::path& run, int64_t keep) {
  const std::vector<int64_t> steps = checkpoint_steps(run);
  if (static_cast<int64_t>(steps.size()) <= keep) {
    return;
  }
  const fs::path best = link_target(run / "best");
  const fs::path latest = link_target(run / "latest");
  int64_t kept = 0;
  bool good_one_kept = false;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const std::string name = checkpoint_name(*step);
    if (kept < keep || name == best || name == latest) {
      ++kept;
      continue;
    }
    if (!good_one_kept) {
      // Once per clean-up: at least one of those that stay must be whole before anything goes.
      good_one_kept = std::any_of(steps.rbegin(), step, [&](int64_t newer) {
        return verifies(run / checkpoint_name(newer));
      });
      if (!good_one_kept) {
        log_warn("kept '{}': none of the newer checkpoints is whole", name);
        good_one_kept = verifies(run / name);
        continue;
      }
    }
    try {
      if (const fs::path added = added_file(run / name); !added.empty()) {
        log_info("kept {}: '{}' in it is not of this run", name, added.string());
      } else {
        remove_atomically(run / name);
      }
    } catch (const std::exception& error) {
      log_warn("could not clear {} away: {}", name, error.what());
    }
  }
}

}  // namespace

void remove_old_checkpoints(const fs::path& run, int64_t keep) {
  if (keep <= 0) return;
  try {
    clear_away_old(run, keep);
  } catch (const std::exception& error) {  // nothing goes while it is not known what is to stay
    log_warn("no old checkpoint is cleared away: {}", error.what());
  }
}

void finish_save(const fs::path& run, const fs::path& checkpoint, bool is_best, int64_t keep) {
  const auto turn = [&](const char* link) {
    if (link_target(run / link) != checkpoint.filename()) point_to(run, link, checkpoint);
  };
  turn("latest");
  if (is_best) turn("best");
  remove_old_checkpoints(run, keep);
}

namespace {

/// Where the link names one of `going`: to `staying` with it, or away if there is none.
void turn_link(const fs::path& run, const std::string& link, const std::vector<int64_t>& going,
               std::optional<int64_t> staying) {
  const auto step = step_of_checkpoint(link_target(run / link));
  if (!step || !std::binary_search(going.begin(), going.end(), *step)) return;
  if (staying) {
    point_to(run, link, checkpoint_name(*staying));
  } else {
    remove_file(run / link);
  }
}

}  // namespace

std::vector<std::string> abandon_later_checkpoints(const fs::path& run, const fs::path& checkpoint,
                                                   std::optional<int64_t> best_step) {
  const int64_t from = read_manifest(checkpoint).step;
  const bool own = are_same(checkpoint, run / checkpoint_name(from));
  std::vector<int64_t> staying = checkpoint_steps(run), going;
  const auto later = own ? std::upper_bound(staying.begin(), staying.end(), from)
                         : std::lower_bound(staying.begin(), staying.end(), from);
  going.assign(later, staying.end());
  staying.erase(later, staying.end());
  if (going.empty()) return {};
  turn_link(run, "latest", going, staying.empty() ? std::nullopt : std::optional(staying.back()));
  const bool best_stays =
      own && best_step && std::binary_search(staying.begin(), staying.end(), *best_step);
  turn_link(run, "best", going, best_stays ? best_step : std::nullopt);
  std::vector<std::string> names;
  for (auto step = going.rbegin(); step != going.rend(); ++step) {
    const fs::path name = free_name(run / checkpoint_name(*step), "abandoned");
    rename_path(run / checkpoint_name(*step), name);
    names.insert(names.begin(), name.filename().string());
  }
  sync_directory(run);
  return names;
}

CheckpointPart copy_of(std::vector<fs::path> files) {
  return [files = std::move(files)](const fs::path& directory) {
    for (const fs::path& file : files) {
      OutputFile copy = OutputFile::create(directory / file.filename());
      copy.write(read_file(file));
      copy.close();
    }
  };
}

}  // namespace llm
