// What the server asks of an answer beside what its request says. Copied into the answer.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "serving/http/api/request_statuses.h"

namespace llm::api {

struct AnswerOptions {
  std::chrono::milliseconds ping{15'000};
  /// Given the whole answer of a request that can have no other. May be empty.
  std::function<void(const std::string&)> keep;
  /// Told how far the answer has come, before the client is; from any thread. May be empty.
  std::function<void(RequestStatus, std::string_view message)> progress;
};

}  // namespace llm::api
