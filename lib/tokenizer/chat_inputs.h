// What a chat template is rendered with.
#pragma once

#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>

namespace llm {

struct ChatInputs {
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();  // [{role, content, ...}]
  nlohmann::ordered_json tools;                                       // null: none
  nlohmann::ordered_json documents;
  nlohmann::ordered_json variables = nlohmann::ordered_json::object();  // others by name
  bool add_generation_prompt = false;
  std::optional<std::time_t> now;  // for strftime_now; the clock's if absent
};

}  // namespace llm
