// `messages` of a request as chat templates take them.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace llm::api {

/// Messages of a body, checked: roles, contents (text parts joined), names, tool calls. Throws
/// HttpError 400 naming the message.
nlohmann::ordered_json read_messages(const nlohmann::ordered_json& given);

}  // namespace llm::api
