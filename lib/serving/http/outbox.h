// The answer on its way: what handlers queue from any thread and the connection takes on its io
// thread. Private to the server; handlers see it as Reply.
//
// Everything is under one mutex, held for copies of bytes only. A call that gives the connection
// something to do wakes it once (a post to its io thread) until it has looked.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "serving/http/request.h"

namespace llm::http {

class Outbox {
 public:
  using Clock = std::chrono::steady_clock;
  struct Setup {
    bool http11 = true;
    bool head = false;        // the answer has no body
    bool keep_alive = false;  // the client would go on with this connection
    std::string request_id;
    size_t max_queue_bytes = 0;
    const std::atomic<bool>* draining = nullptr;  // looked at while wake is set only
    Headers headers = {};                         // of whatever is answered
  };
  Outbox(Setup setup, std::function<void()> wake);

  // Any thread.
  bool send(int status, std::string_view type, std::string_view body, const Headers& extra);
  bool begin(int status, std::string_view type, const Headers& extra);
  bool write(std::string_view text);
  void end();
  void abandon();  // nobody will answer: 500 (499 if the client left), or a stream that breaks off
  void on_close(std::function<void()> callback);
  void ping(std::chrono::milliseconds interval, std::string text);
  void set_client(std::string tag);
  bool gone() const;
  bool full() const;
  bool begun() const;

  // The connection's io thread.
  struct Progress {
    bool begun = false;     // a status is known
    bool finished = false;  // all of it was taken and written
    bool dropped = false;   // nobody goes on with the stream
    bool keep_alive = false;
    int status = 0;
    Clock::time_point ping_at = Clock::time_point::max();
  };
  Progress look();     // progress(), and what happens from here on wakes again
  std::string take();  // what to write now
  void written(size_t bytes);
  Progress progress() const;
  std::string client() const;
  void send_ping(Clock::time_point now);
  /// The client has left: write() is false from now on. True the first time, if the answer was not
  /// complete; then `callback` is to be run, if there is one.
  bool leave(std::function<void()>& callback);
  /// The connection is no more: wakes nobody, answers go nowhere.
  void detach();

 private:
  void queue_head(int status, std::string_view type, const Headers& extra, int64_t body_bytes);
  void queue_text(std::string_view text);
  void wake_connection();

  mutable std::mutex mutex_;
  const Setup setup_;
  std::function<void()> wake_;  // empty once detached
  std::function<void()> callback_;
  std::string queue_;
  size_t unsent_bytes_ = 0;  // queued or being written
  int status_ = 0;
  bool ended_ = false, left_ = false, dropped_ = false, woken_ = false;
  bool keep_alive_ = false;
  std::chrono::milliseconds ping_interval_{0};
  std::string ping_text_;
  Clock::time_point last_text_{};
  std::string client_;
};

/// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7).
std::string http_date(int64_t unix_seconds);

/// "Not Found"; "Unknown" for a number without a phrase here.
std::string_view status_phrase(int status);

}  // namespace llm::http
