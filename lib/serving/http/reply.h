// The one answer to a request, given from any thread, now or later, whole or as a stream.
//
// Whole: send(). Stream: begin(), write() as often as there is something, end(). The first answer
// wins: a send() or begin() after it returns false and changes nothing. Texts are queued and
// written by an io thread. A stream is full() while more than Limits::stream_queue_bytes wait for
// its client: whoever writes it should pause then. A client that takes nothing for
// Limits::write_stall counts as gone. A Reply that is dropped without an answer is answered with
// 500, or 499 where the client had left; a stream that is dropped before end() breaks the
// connection off, so that the client sees that it is cut.
//
// on_close tells the engine to cancel. A client that closes its side of the connection, even only
// the sending half, counts as gone at once, also while nothing is being written: a closed and a
// half-closed connection look the same from here. A send() after that is still tried (it reaches
// a client that only half-closed); write() is false.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "serving/http/http_error.h"
#include "serving/http/request.h"

namespace llm::http {

class Outbox;

class Reply {
 public:
  explicit Reply(std::shared_ptr<Outbox> outbox);
  ~Reply();
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;

  /// A whole answer; false if there was an answer before, or the connection is closed. The server
  /// adds Date, Content-Length, Connection and X-Request-ID.
  bool send(int status, std::string_view content_type, std::string_view body,
            const Headers& extra = {});
  bool send_json(int status, std::string_view json, const Headers& extra = {});
  bool send_error(const HttpError& error);
  /// For `catch (...)`: error_of(exception) as the answer; a stream that has begun breaks off.
  void send_exception(std::exception_ptr exception, std::string_view what);

  /// Begins a stream; false if there was an answer before, or the client is gone.
  bool begin(int status, std::string_view content_type, const Headers& extra = {});
  /// False once the client is gone: stop computing. Also false before begin() and after end().
  bool write(std::string_view text);
  void end();
  /// While the stream is silent for this long, `text` is sent; 0 = never.
  void ping_after(std::chrono::milliseconds silence, std::string text);

  /// Called once, from an io thread, if the client leaves before the answer is complete (send() or
  /// end() was called); at once, in the caller's thread, if it has left already. At most one
  /// callback: a second replaces the first. It must be quick, and may hold this Reply.
  void on_close(std::function<void()> callback);
  bool gone() const;
  /// More waits for the client than should: write no more for the time being.
  bool full() const;
  bool begun() const;  // an answer, or the start of one, was given

  /// Who asked, for the access log: never the key itself.
  void set_client(std::string tag);
  std::string client() const;

 private:
  const std::shared_ptr<Outbox> outbox_;
};

using ReplyPtr = std::shared_ptr<Reply>;

}  // namespace llm::http
