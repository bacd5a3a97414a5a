#include "serving/http/sse.h"

#include "base/utf8.h"

namespace llm::http {

std::string sse_event(std::string_view data, std::string_view name) {
  std::string repaired;
  if (!utf8::is_valid(data)) {
    repaired = utf8::replace_invalid(data);
    data = repaired;
  }
  std::string out;
  out.reserve(data.size() + name.size() + 24);
  if (!name.empty()) out.append("event: ").append(name).append("\n");
  while (true) {
    const size_t end = data.find_first_of("\r\n");
    out.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + (data.substr(end, 2) == "\r\n" ? 2 : 1));
  }
  return out += "\n";
}

SseStream::SseStream(ReplyPtr reply, std::chrono::milliseconds ping_after)
    : reply_(std::move(reply)), ping_after_(ping_after) {}

bool SseStream::begin() {
  if (!reply_->begin(200, "text/event-stream; charset=utf-8",
                     {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}})) {
    return false;
  }
  reply_->ping_after(ping_after_, ": ping\n\n");
  return true;
}

bool SseStream::event(std::string_view data, std::string_view name) {
  return reply_->write(sse_event(data, name));
}

void SseStream::done() {
  reply_->write("data: [DONE]\n\n");
  reply_->end();
}

void SseStream::fail(const HttpError& error) {
  if (reply_->send_error(error)) return;
  reply_->write(sse_event(error_body(error)));
  reply_->end();
}

}  // namespace llm::http
