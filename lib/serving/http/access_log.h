// One log line for each exchange: who asked what, how it went, how long it took.
//
// Text: "GET /v1/models 200, 512 bytes, 3.1 ms, req-0f3a, 127.0.0.1, key 3f2a91bc"; as JSON the
// same values are fields (method, path, status, bytes, ms, request_id, address, key). Never a
// query, a header, a body or a key: the key is the first 8 hex digits of its hash. A client that
// left before there was an answer has status 499. Any thread.
#pragma once

#include "base/log.h"
#include "serving/http/http_server.h"

namespace llm::http {

void log_access(const Exchange& exchange, LogLevel level = LogLevel::info);

}  // namespace llm::http
