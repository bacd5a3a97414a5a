#include "model/manifest.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_reader.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

/// "step-00000004", also of "run/step-00000004/".
std::string name_of(const fs::path& directory) {
  return (directory.has_filename() ? directory : directory.parent_path()).filename().string();
}

/// Names are untrusted.
void check_inside(const std::string& checkpoint, const std::string& name) {
  const fs::path path(name);
  bool inside = !name.empty() && path.is_relative();
  for (const fs::path& part : path) {
    inside = inside && part != ".." && part != "." && !part.empty();
  }
  check_input(inside, "{}: manifest names '{}', outside the checkpoint", checkpoint, name);
}

Manifest manifest_of(const nlohmann::json& document, const std::string& who) {
  const JsonView view(document, who + "/manifest.json");
  view.expect_object();
  const int64_t format = view.get_int("format", 1, INT64_MAX);
  check_input(format <= kCheckpointFormat, "checkpoint format {} is newer than this program ({})",
              format, kCheckpointFormat);
  Manifest manifest;
  manifest.step = view.get_int("step", 0, INT64_MAX);
  const JsonView files = view.at("files");
  for (const std::string& name : files.keys()) {
    check_inside(who, name);
    const JsonView entry = files.at(name);
    manifest.files.push_back(
        {name, entry.get_int("size", 0, INT64_MAX), entry.get_string("sha256")});
  }
  return manifest;
}

bool is_of_the_model(const std::string& name) {
  const bool beside = name.find('/') == std::string::npos;
  return beside && (name.ends_with(".safetensors") || name == "config.json" ||
                    name.starts_with("tokenizer."));
}

}  // namespace

Manifest read_manifest(const fs::path& checkpoint) {
  return manifest_of(parse_json_file(checkpoint / kManifestName), name_of(checkpoint));
}

void check_file_size(const fs::path& checkpoint, const ManifestFile& file) {
  const std::string who = name_of(checkpoint);
  const fs::path path = checkpoint / file.name;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::none) {  // neither there nor absent
    errno = error.value();
    fail_errno(fmt::format("cannot read '{}'", path.string()), exit_of_failed_open());
  }
  check_input(fs::exists(status), "{}: {} is missing", who, file.name);
  check_input(fs::is_regular_file(status), "{}: {} is not a regular file", who, file.name);
  const auto actual = static_cast<int64_t>(fs::file_size(path));
  check_input(actual == file.size, "{}/{}: {} bytes, manifest says {}", who, file.name, actual,
              file.size);
}

void check_model_sizes(const fs::path& directory) {
  if (!fs::is_regular_file(directory / kManifestName)) {
    return;
  }
  const nlohmann::json document = parse_json_file(directory / kManifestName);
  if (!document.is_object() || !document.contains("step") || !document.contains("files")) {
    return;
  }
  for (const ManifestFile& file : manifest_of(document, name_of(directory)).files) {
    if (is_of_the_model(file.name)) {
      check_file_size(directory, file);
    }
  }
}

}  // namespace llm
