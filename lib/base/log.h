// The program's log: stderr as text or JSON lines, and optionally a file that rotates by size.
//
// One logger per process, which is the one exception to "no globals": every layer may report, and
// passing a logger through all of them would buy nothing. Thread-safe; a line is written with one
// write(2), so lines of several threads never mix. On stderr as text: "message", "warning:
// message", "error: message", "debug: message"; in the file: "2025-01-31T12:34:56.789Z WARNING
// message". JSON: {"time":"2025-01-31T12:34:56.789Z","level":"warn","message":"..."} plus the
// fields of log_record.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace llm {

class Fields;

enum class LogLevel { debug, info, warn, error };

struct LoggingConfig {
  std::string level = "info";
  std::string format = "text";
  bool quiet = false;
  void fields(Fields& f);
};

void configure_log(const LoggingConfig& config);
bool log_is_quiet();
bool log_enabled(LogLevel level);

/// Also append every line (info and above, or the configured level if lower) to this file. When it
/// would exceed max_bytes it becomes FILE.1, FILE.1 becomes FILE.2, and so on up to `keep` old
/// files. Throws Error(Exit::io) if it cannot be opened. A later failure to write is reported once
/// on stderr.
void attach_log_file(const std::filesystem::path& path, uint64_t max_bytes = 10u << 20,
                     int keep = 3);
void detach_log_file();

void log_line(LogLevel level, std::string_view message);

struct LogField {
  std::string_view key;
  std::variant<int64_t, double, std::string_view> value;
};
/// A line with values: as text the message alone, as JSON the fields beside it.
void log_record(LogLevel level, std::string_view message, std::span<const LogField> fields);

/// The last words of a program that fails: "llm: error: message" and, where there is one, "hint:
/// hint" on stderr whatever the level; one JSON line with both where the log is JSON. The log file
/// gets them too.
void log_failure(std::string_view message, std::string_view hint);

/// A last line on the terminal that stays below the log while it moves on (a progress bar); ""
/// removes it. Only where stderr is a terminal.
void set_status_line(std::string_view text);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(LogLevel::debug)) {
    log_line(LogLevel::debug, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::warn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace llm
