#include "serving/http/outbox.h"

#include <fmt/format.h>

#include <ctime>

#include "serving/http/http_error.h"

namespace llm::http {
namespace {

/// A header value cannot end its line: control characters become spaces.
std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return out;
}

bool has_no_body(int status) { return status == 204 || status == 304 || status < 200; }

}  // namespace

std::string_view status_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

std::string http_date(int64_t unix_seconds) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t time = unix_seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                     parts.tm_sec);
}

Outbox::Outbox(Setup setup, std::function<void()> wake)
    : setup_(std::move(setup)), wake_(std::move(wake)) {}

void Outbox::wake_connection() {
  if (wake_ && !woken_) {
    woken_ = true;
    wake_();
  }
}

/// body_bytes -1: a stream, whose length shows at its end.
void Outbox::queue_head(int status, std::string_view type, const Headers& extra,
                        int64_t body_bytes) {
  status_ = status;
  const bool stream_until_close = body_bytes < 0 && !setup_.http11;
  keep_alive_ = setup_.keep_alive && !stream_until_close && wake_ && !setup_.draining->load();
  queue_ += fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", status, status_phrase(status),
                        http_date(std::time(nullptr)));
  if (!type.empty()) queue_ += fmt::format("Content-Type: {}\r\n", one_line(type));
  if (body_bytes >= 0 && !has_no_body(status)) {
    queue_ += fmt::format("Content-Length: {}\r\n", body_bytes);
  } else if (body_bytes < 0 && setup_.http11) {
    queue_ += "Transfer-Encoding: chunked\r\n";
  }
  if (!keep_alive_) {
    queue_ += "Connection: close\r\n";
  } else if (!setup_.http11) {
    queue_ += "Connection: keep-alive\r\n";
  }
  queue_ +=
      fmt::format("X-Request-ID: {}\r\nX-Content-Type-Options: nosniff\r\n", setup_.request_id);
  for (const Headers* headers : {&setup_.headers, &extra}) {
    for (const auto& [name, value] : *headers) {
      queue_ += fmt::format("{}: {}\r\n", one_line(name), one_line(value));
    }
  }
  queue_ += "\r\n";
}

void Outbox::queue_text(std::string_view text) {
  if (setup_.head || text.empty()) return;
  if (setup_.http11) {
    fmt::format_to(std::back_inserter(queue_), "{:x}\r\n", text.size());
    queue_.append(text).append("\r\n");
  } else {
    queue_.append(text);
  }
  last_text_ = Clock::now();
}

bool Outbox::send(int status, std::string_view type, std::string_view body, const Headers& extra) {
  std::function<void()> dropped;  // its captures are destroyed outside the lock
  const std::lock_guard lock(mutex_);
  if (status_ != 0 || !wake_) return false;
  queue_head(status, type, extra, static_cast<int64_t>(body.size()));
  if (!setup_.head && !has_no_body(status)) queue_ += body;
  unsent_bytes_ = queue_.size();
  ended_ = true;
  std::swap(dropped, callback_);
  wake_connection();
  return true;
}

bool Outbox::begin(int status, std::string_view type, const Headers& extra) {
  const std::lock_guard lock(mutex_);
  if (status_ != 0 || !wake_ || left_) return false;
  queue_head(status, type, extra, -1);
  unsent_bytes_ = queue_.size();
  last_text_ = Clock::now();
  wake_connection();
  return true;
}

bool Outbox::write(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (status_ == 0 || ended_ || left_ || !wake_) return false;
  const size_t before = queue_.size();
  queue_text(text);
  unsent_bytes_ += queue_.size() - before;
  wake_connection();
  return true;
}

void Outbox::end() {
  std::function<void()> dropped;
  const std::lock_guard lock(mutex_);
  if (status_ == 0 || ended_) return;
  ended_ = true;
  std::swap(dropped, callback_);
  if (setup_.http11 && !setup_.head) {
    queue_ += "0\r\n\r\n";
    unsent_bytes_ += 5;
  }
  wake_connection();
}

void Outbox::abandon() {
  std::function<void()> callback;  // nobody is left to be told; destroyed outside the lock
  bool left = false;
  {
    const std::lock_guard lock(mutex_);
    if (ended_ || !wake_) return;
    left = left_;
    if (status_ != 0) {
      dropped_ = true;
      std::swap(callback, callback_);
      wake_connection();
      return;
    }
  }
  // A client that closed its sending half only can still read why it gets nothing.
  const HttpError error =
      left ? HttpError(499, "client_closed_request",
                       "the client closed its side of the connection before there was an answer")
           : HttpError(500, "server_error", "the request was dropped without an answer");
  send(error.status(), "application/json", error_body(error), {});
}

void Outbox::on_close(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    if (!left_) {
      std::swap(callback_, callback);
      return;
    }
  }
  if (callback) callback();
}

void Outbox::ping(std::chrono::milliseconds interval, std::string text) {
  const std::lock_guard lock(mutex_);
  ping_interval_ = interval;
  ping_text_ = std::move(text);
  wake_connection();
}

void Outbox::set_client(std::string tag) {
  const std::lock_guard lock(mutex_);
  client_ = std::move(tag);
}

bool Outbox::gone() const {
  const std::lock_guard lock(mutex_);
  return left_ || !wake_;
}

bool Outbox::full() const {
  const std::lock_guard lock(mutex_);
  return unsent_bytes_ > setup_.max_queue_bytes;
}

bool Outbox::begun() const {
  const std::lock_guard lock(mutex_);
  return status_ != 0;
}

Outbox::Progress Outbox::look() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = false;
  }
  return progress();
}

std::string Outbox::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(queue_, {});
}

void Outbox::written(size_t bytes) {
  const std::lock_guard lock(mutex_);
  unsent_bytes_ -= bytes;
}

std::string Outbox::client() const {
  const std::lock_guard lock(mutex_);
  return client_;
}

Outbox::Progress Outbox::progress() const {
  const std::lock_guard lock(mutex_);
  Progress now{status_ != 0, ended_ && unsent_bytes_ == 0, dropped_, keep_alive_, status_};
  if (status_ != 0 && !ended_ && !left_ && ping_interval_.count() > 0) {
    now.ping_at = last_text_ + ping_interval_;
  }
  return now;
}

void Outbox::send_ping(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (status_ == 0 || ended_ || left_ || dropped_ || unsent_bytes_ > 0) {
    last_text_ = now;  // a client that is still reading the last one needs no more
    return;
  }
  queue_text(ping_text_);
  unsent_bytes_ = queue_.size();
}

bool Outbox::leave(std::function<void()>& callback) {
  const std::lock_guard lock(mutex_);
  if (ended_ || left_) return false;
  left_ = true;
  std::swap(callback, callback_);
  return true;
}

void Outbox::detach() {
  std::function<void()> dropped, sleeps;
  const std::lock_guard lock(mutex_);
  left_ = true;
  std::swap(sleeps, wake_);
  std::swap(dropped, callback_);
}

}  // namespace llm::http
