#include "model/run_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/path_queries.h"
#include "model/manifest.h"

namespace llm {

namespace fs = std::filesystem;

std::string checkpoint_name(int64_t step) { return fmt::format("{}{:08}", kStepPrefix, step); }

std::optional<int64_t> step_of_checkpoint(const fs::path& checkpoint) {
  const std::string name = checkpoint.filename().string();
  if (!name.starts_with(kStepPrefix)) {
    return std::nullopt;
  }
  const char* const digits = name.data() + std::string_view(kStepPrefix).size();
  int64_t step = 0;
  const auto [end, error] = std::from_chars(digits, name.data() + name.size(), step);
  const bool own_form = error == std::errc() && step >= 0 && name == checkpoint_name(step);
  return own_form ? std::optional(step) : std::nullopt;
}

std::vector<int64_t> checkpoint_steps(const fs::path& run) {
  std::vector<int64_t> steps;
  for (const fs::directory_entry& entry : entries_of(run)) {
    const auto step = step_of_checkpoint(entry.path());
    if (step && entry.is_directory()) {
      steps.push_back(*step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string newest_complete_checkpoint(const fs::path& run) {
  const std::vector<int64_t> steps = checkpoint_steps(run);
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (fs::exists(run / checkpoint_name(*step) / kManifestName)) {
      return checkpoint_name(*step);
    }
  }
  return {};
}

bool latest_is_behind(const fs::path& run) {
  const auto named = step_of_checkpoint(link_target(run / "latest"));
  const auto newest = step_of_checkpoint(newest_complete_checkpoint(run));
  return named && newest && *named < *newest;
}

}  // namespace llm
