// Checkpoint directories of a run: saving, verifying, choosing, cleaning up.
//
//   RUN/step-00001000/  config.json generation_config.json model.safetensors tokenizer.model
//                       training_state/optimizer.safetensors training_state/state.json
//                       manifest.json   {"format": 1, "step": 1000, "files": {"model.safetensors":
//                       {"size": 8388608, "sha256": "..."}}}, written last
//   RUN/latest, RUN/best   symlinks, moved after the manifest is on disk
//
// Order of a save: temporary directory, files, fsync each, manifest, fsync, rename, fsync of RUN,
// `latest`; then old ones are removed. A directory without a manifest is an interrupted save and is
// never loaded. No torch here: a checkpoint is files with names. Errors: Error(bad_input) naming
// the file for what is damaged, Error(io) for what cannot be read or written. One process per run
// directory (RunLock).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "model/manifest.h"
#include "model/run_layout.h"

namespace llm {

/// Writes some of a checkpoint's files into the directory it is given (through base/file_io.h).
using CheckpointPart = std::function<void(const std::filesystem::path& directory)>;

/// Saves RUN/step-N and moves `latest`. Free space is checked against expected_bytes first: "need
/// 812 MB, 96 MB free in /data; step-400 is intact".
std::filesystem::path save_checkpoint(const std::filesystem::path& run, int64_t step,
                                      const std::vector<CheckpointPart>& parts,
                                      int64_t expected_bytes);

/// Points RUN/best (or another name) at a checkpoint, atomically.
void point_to(const std::filesystem::path& run, const std::string& link,
              const std::filesystem::path& checkpoint);

/// Checks the manifest: every file there, with its size and hash, and no name that leads outside.
/// Throws naming the first that fails.
void verify_checkpoint(const std::filesystem::path& checkpoint);

/// Removes all but the newest `keep` verified checkpoints and what `best` and `latest` point to;
/// never the only one that verifies, nor one that holds a file that no save wrote. keep 0 = keep
/// all. What cannot be removed is warned of.
void remove_old_checkpoints(const std::filesystem::path& run, int64_t keep);

/// What follows when RUN's newest checkpoint is saved: `latest` and, if it is that, `best` name it,
/// and old ones are removed. Also for a resume from it: a process can die before it comes to this.
void finish_save(const std::filesystem::path& run, const std::filesystem::path& checkpoint,
                 bool is_best, int64_t keep);

/// The run goes on from `checkpoint`, its own or another's: what it holds of later steps is another
/// line now, which a later "auto" must not take. Renames those to step-N.abandoned, the newest
/// first, after `latest` and `best` (best_step's checkpoint, if it stays) point elsewhere. The new
/// names, ascending.
std::vector<std::string> abandon_later_checkpoints(const std::filesystem::path& run,
                                                   const std::filesystem::path& checkpoint,
                                                   std::optional<int64_t> best_step);

struct ResumeChoice {
  std::filesystem::path checkpoint;  // verified
  std::vector<std::string>
      passed_over;  // why newer ones were not taken, one line each; to be logged
};
/// "auto": the newest checkpoint that verifies (nothing where RUN has none; Error where it has some
/// and none verifies). A path: that checkpoint, or latest_checkpoint() of that run directory,
/// exactly; damage is an error. Newer checkpoints that were passed over because they are damaged
/// are renamed to step-N.damaged, so that they cannot be taken for good ones later.
std::optional<ResumeChoice> choose_checkpoint(const std::filesystem::path& run,
                                              const std::string& resume_from);

/// What `latest` names, which must exist, or the newest complete one where `latest` is behind it.
std::filesystem::path latest_checkpoint(const std::filesystem::path& run);

/// A part that copies existing files under their own names.
CheckpointPart copy_of(std::vector<std::filesystem::path> files);

}  // namespace llm
