// The validation part of a dataset: where it lies, and whose it is.
//
// A run of prepare-data that splits text off marks what it wrote with PREFIX.split, the SHA-256 of
// its .index. Where a later run to the same output splits nothing off, the old part would be taken
// for the new one's, whose training part holds its text: by the mark it is known and removed. A
// set that was prepared by itself, or put there by hand, has no mark that holds and stays.
// Errors: Error(io). One process per dataset.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace llm {

class DatasetCommit;

/// Why a run has nothing to validate on.
inline constexpr const char* kNoValidationDocument =
    "no document fell into the validation part; for one long document use --val-split tail";

/// Where the validation part of a dataset lies.
std::filesystem::path validation_prefix(const std::filesystem::path& prefix);

/// All files that a dataset may have.
std::vector<std::filesystem::path> dataset_files(const std::filesystem::path& prefix);

/// Removes them, as far as they are there.
void remove_dataset(const std::filesystem::path& prefix);

/// Adds the mark to a dataset that `commit` is to put in its place.
void mark_as_split_off(const std::filesystem::path& validation, const std::string& index_sha256,
                       DatasetCommit& commit);

/// Whether an earlier run split off what lies beside `train`, so that it goes with its text; warns
/// of another set in its place. What a killed run left without an index counts, if it has a mark.
bool has_former_validation_part(const std::filesystem::path& train);

}  // namespace llm
