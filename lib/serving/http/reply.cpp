#include "serving/http/reply.h"

#include "serving/http/outbox.h"

namespace llm::http {

Reply::Reply(std::shared_ptr<Outbox> outbox) : outbox_(std::move(outbox)) {}
Reply::~Reply() { outbox_->abandon(); }

bool Reply::send(int status, std::string_view content_type, std::string_view body,
                 const Headers& extra) {
  return outbox_->send(status, content_type, body, extra);
}

bool Reply::send_json(int status, std::string_view json, const Headers& extra) {
  return send(status, "application/json", json, extra);
}

bool Reply::send_error(const HttpError& error) {
  return send_json(error.status(), error_body(error), error.headers);
}

void Reply::send_exception(std::exception_ptr exception, std::string_view what) {
  if (!send_error(error_of(std::move(exception), what))) outbox_->abandon();
}

bool Reply::begin(int status, std::string_view content_type, const Headers& extra) {
  return outbox_->begin(status, content_type, extra);
}

bool Reply::write(std::string_view text) { return outbox_->write(text); }
void Reply::end() { outbox_->end(); }

void Reply::ping_after(std::chrono::milliseconds silence, std::string text) {
  outbox_->ping(silence, std::move(text));
}

void Reply::on_close(std::function<void()> callback) { outbox_->on_close(std::move(callback)); }
bool Reply::gone() const { return outbox_->gone(); }
bool Reply::full() const { return outbox_->full(); }
bool Reply::begun() const { return outbox_->begun(); }
void Reply::set_client(std::string tag) { outbox_->set_client(std::move(tag)); }
std::string Reply::client() const { return outbox_->client(); }

}  // namespace llm::http
