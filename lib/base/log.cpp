#include "base/log.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/config.h"
#include "base/error.h"
#include "base/file_io.h"
#include "base/json_reader.h"
#include "base/progress.h"

namespace llm {
namespace {

constexpr std::array<const char*, 4> kLevelNames{"debug", "info", "warn", "error"};

struct RotatingFile {
  std::filesystem::path path;
  uint64_t max_bytes;
  int keep;
  OutputFile file;
  uint64_t size = 0;

  void open() {
    file = OutputFile::append_to(path);
    std::error_code ignored;
    const auto existing = std::filesystem::file_size(path, ignored);
    size = ignored ? 0 : existing;
  }

  std::filesystem::path numbered(int number) const {
    return fmt::format("{}.{}", path.string(), number);
  }

  void rotate() {
    file.close();
    for (int number = keep; number >= 1; --number) {
      const std::filesystem::path from = number == 1 ? path : numbered(number - 1);
      std::error_code ignored;
      if (std::filesystem::exists(from, ignored)) {
        rename_path(from, numbered(number));
      }
    }
    if (keep == 0) {
      remove_file(path);
    }
    open();
  }

  void append(const std::string& line) {
    if (size > 0 && size + line.size() > max_bytes) {
      rotate();
    }
    file.write(line);
    size += line.size();
  }
};

struct Logger {
  std::mutex mutex;
  LogLevel level = LogLevel::info;
  bool json = false;
  bool quiet = false;
  std::optional<RotatingFile> file;
  std::string status;
};

Logger& logger() {
  static Logger instance;
  return instance;
}

std::string time_text() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", text.data(), milliseconds);
}

void put_stderr(std::string_view text) {
  while (!text.empty()) {
    const ssize_t done = ::write(STDERR_FILENO, text.data(), text.size());
    if (done <= 0 && errno != EINTR) {
      return;  // there is no place left to say so
    }
    text.remove_prefix(done > 0 ? static_cast<size_t>(done) : 0);
  }
}

std::string json_line(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  nlohmann::ordered_json line;
  line["time"] = time_text();
  line["level"] = kLevelNames[static_cast<size_t>(level)];
  line["message"] = message;
  for (const LogField& field : fields) {
    nlohmann::ordered_json& slot = line[std::string(field.key)];
    if (const auto* number = std::get_if<double>(&field.value)) {
      slot = std::isfinite(*number) ? nlohmann::ordered_json(*number)
                                    : nlohmann::ordered_json(nullptr);
    } else if (const auto* whole = std::get_if<int64_t>(&field.value)) {
      slot = *whole;
    } else {
      slot = std::get<std::string_view>(field.value);
    }
  }
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string text_for_stderr(LogLevel level, std::string_view message) {
  static const bool colored = stderr_has_color();
  const std::string_view start = !colored                   ? ""
                                 : level == LogLevel::error ? "\033[31m"
                                 : level == LogLevel::warn  ? "\033[33m"
                                                            : "";
  const std::string_view word = level == LogLevel::error   ? "error: "
                                : level == LogLevel::warn  ? "warning: "
                                : level == LogLevel::debug ? "debug: "
                                                           : "";
  return fmt::format("{}{}{}{}\n", start, word, start.empty() ? "" : "\033[0m", message);
}

std::string text_for_file(LogLevel level, std::string_view message) {
  static constexpr std::array<const char*, 4> kNames{"DEBUG", "INFO", "WARNING", "ERROR"};
  std::string flat(message);
  for (size_t at = 0; (at = flat.find('\n', at)) != std::string::npos; at += 4) {
    flat.replace(at, 1, "\n    ");
  }
  return fmt::format("{} {} {}\n", time_text(), kNames[static_cast<size_t>(level)], flat);
}

void append_to_file(Logger& log, const std::string& line) {
  try {
    log.file->append(line);
  } catch (const Error& error) {
    // A full disk must not end a run through its log; the run meets the disk itself when it saves.
    const std::string path = log.file->path.string();
    log.file.reset();
    put_stderr(text_for_stderr(
        LogLevel::warn, fmt::format("the log file '{}' is closed: {}", path, error.message())));
  }
}

void emit(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  Logger& log = logger();
  const std::lock_guard lock(log.mutex);
  const bool to_stderr = level >= log.level && (!log.quiet || level >= LogLevel::warn);
  const bool to_file = log.file && level >= std::min(log.level, LogLevel::info);
  const std::string json =
      log.json && (to_stderr || to_file) ? json_line(level, message, fields) : "";
  if (to_stderr) {
    const std::string line = log.json ? json : text_for_stderr(level, message);
    put_stderr(log.status.empty() ? line : fmt::format("\r\033[K{}{}", line, log.status));
  }
  if (to_file) {
    append_to_file(log, log.json ? json : text_for_file(level, message));
  }
}

}  // namespace

void LoggingConfig::fields(Fields& f) {
  f("level", level, "The least important lines that are shown",
    one_of({"debug", "info", "warn", "error"}))
      .flag("log-level")
      .value_name("LEVEL");
  f("format", format, "Log lines as text or as JSON objects", one_of({"text", "json"}))
      .flag("log-format");
  f("quiet", quiet, "Only warnings and errors on stderr, no progress").flag("quiet");
}

void configure_log(const LoggingConfig& config) {
  Logger& log = logger();
  const std::lock_guard lock(log.mutex);
  for (size_t i = 0; i < kLevelNames.size(); ++i) {
    if (config.level == kLevelNames[i]) {
      log.level = static_cast<LogLevel>(i);
    }
  }
  log.json = config.format == "json";
  log.quiet = config.quiet;
}

bool log_is_quiet() { return logger().quiet; }

bool log_enabled(LogLevel level) { return level >= logger().level; }

void attach_log_file(const std::filesystem::path& path, uint64_t max_bytes, int keep) {
  RotatingFile file{path, max_bytes, keep, {}, 0};
  file.open();
  Logger& log = logger();
  const std::lock_guard lock(log.mutex);
  log.file = std::move(file);
}

void detach_log_file() {
  Logger& log = logger();
  const std::lock_guard lock(log.mutex);
  log.file.reset();
}

void log_line(LogLevel level, std::string_view message) { emit(level, message, {}); }

void log_record(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  emit(level, message, fields);
}

void log_failure(std::string_view message, std::string_view hint) {
  Logger& log = logger();
  const std::lock_guard lock(log.mutex);
  const LogField advice{"hint", hint};
  const std::span<const LogField> fields(&advice, hint.empty() ? 0 : 1);
  const std::string text =
      hint.empty() ? std::string(message) : fmt::format("{}\nhint: {}", message, hint);
  const std::string json = log.json ? json_line(LogLevel::error, message, fields) : "";
  put_stderr((log.status.empty() ? "" : "\r\033[K") +
             (log.json ? json : fmt::format("llm: error: {}\n", text)));
  if (log.file) {
    append_to_file(log, log.json ? json : text_for_file(LogLevel::error, text));
  }
}

void set_status_line(std::string_view text) {
  static const bool terminal = stderr_is_terminal();
  Logger& log = logger();
  if (!terminal) {
    return;
  }
  const std::lock_guard lock(log.mutex);
  log.status = text;
  put_stderr(fmt::format("\r\033[K{}", text));
}

}  // namespace llm
