// What a run's data was made from, to be kept beside it and compared: another answer means that it
// is made anew. Text files enter with size and time of change, not content. For lib/data itself.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/data_config.h"

namespace llm {

/// The settings with what --use-lmsys-dataset means filled in. Exit 3 where its file is not there.
DataConfig resolved_data(DataConfig config);

/// Everything that decides the bytes of the prepared files.
nlohmann::json data_record(const DataConfig& config, const std::vector<std::string>& inputs,
                           const Tokenizer& tokenizer, uint64_t seed, const ChatFormat& chat);

/// Whether the file holds that record; a damaged one only means that the data is made again.
bool holds_record(const std::filesystem::path& file, const nlohmann::json& record);

}  // namespace llm
