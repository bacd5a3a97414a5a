// Server-sent events over a Reply: "data: ...\n\n" for each event, "data: [DONE]\n\n" at the end.
//
// Format: https://html.spec.whatwg.org/multipage/server-sent-events.html, in OpenAI's use of it: an
// error in mid-stream is an event with an "error" member, then the end. Silence is broken by
// comments (": ping"), which clients ignore and proxies take for life. Every line is valid UTF-8:
// broken bytes become U+FFFD, so hold back incomplete characters before you come here. Any thread,
// one at a time; the Reply is shared.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "serving/http/reply.h"

namespace llm::http {

class SseStream {
 public:
  explicit SseStream(ReplyPtr reply,
                     std::chrono::milliseconds ping_after = std::chrono::seconds(15));

  /// Sends status 200 and the headers; false if the client is gone or was answered before. Until
  /// then a failure can still be a plain error answer.
  bool begin();
  /// False once the client is gone: stop computing. A name gives "event: NAME" before the data.
  bool event(std::string_view data, std::string_view name = {});
  /// "[DONE]" and the end.
  void done();
  /// Before begin() a plain answer with the error's status; after it an event, and the end.
  void fail(const HttpError& error);

  Reply& reply() const { return *reply_; }

 private:
  ReplyPtr reply_;
  std::chrono::milliseconds ping_after_;
};

/// "data: ...\n\n", one "data: " for each line of `data`; with a name, "event: NAME\n" before it.
std::string sse_event(std::string_view data, std::string_view name = {});

}  // namespace llm::http
