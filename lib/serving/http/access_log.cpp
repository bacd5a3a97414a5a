#include "serving/http/access_log.h"

#include <array>

namespace llm::http {

void log_access(const Exchange& exchange, LogLevel level) {
  if (!log_enabled(level)) return;
  const int64_t status = exchange.status;
  const std::string method = loggable(exchange.method);
  const std::string path = loggable(exchange.path);
  const std::string key = exchange.client.empty() ? "" : fmt::format(", key {}", exchange.client);
  const std::string message =
      fmt::format("{} {} {}{}, {} bytes, {:.1f} ms, {}, {}{}", method, path, status,
                  exchange.complete ? "" : " cut", exchange.bytes_sent, exchange.milliseconds,
                  exchange.id, exchange.address, key);
  const std::array<LogField, 9> fields{{{"method", method},
                                        {"path", path},
                                        {"status", status},
                                        {"complete", int64_t{exchange.complete}},
                                        {"bytes", static_cast<int64_t>(exchange.bytes_sent)},
                                        {"ms", exchange.milliseconds},
                                        {"request_id", std::string_view(exchange.id)},
                                        {"address", std::string_view(exchange.address)},
                                        {"key", std::string_view(exchange.client)}}};
  log_record(level, message, fields);
}

}  // namespace llm::http
