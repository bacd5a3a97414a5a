#include "serving/http/connection.h"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

namespace llm::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::ip::tcp::socket;

constexpr size_t kMaxLingeredBytes = 64 << 20;   // of a client that sends on after its refusal
constexpr int kUnsentLowWaterBytes = 128 << 10;  // in the kernel, of one connection

/// Small pieces leave at once; what the kernel keeps unsent is bounded; a peer that vanished
/// without a word is noticed within the write stall.
void tune(Socket& socket, std::chrono::milliseconds stall) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const int fd = socket.native_handle();
  const auto set = [&](int option, int value) {
    ::setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value);
  };
  set(TCP_NOTSENT_LOWAT, kUnsentLowWaterBytes);
  set(TCP_USER_TIMEOUT, static_cast<int>(stall.count()));
  set(TCP_KEEPIDLE, 30);
  set(TCP_KEEPINTVL, 10);
}

std::string address_of(const Socket& socket) {
  error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return "?";
  const auto address = endpoint.address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

}  // namespace

Connection::Connection(Loop& loop, ServerCore& core, Socket socket)
    : loop_(loop),
      core_(core),
      socket_(std::move(socket)),
      timer_(loop.context),
      reader_(core.limits.header_bytes, core.limits.body_bytes),
      address_(address_of(socket_)) {
  loop_.connections.insert(this);
}

Connection::~Connection() {
  loop_.connections.erase(this);
  if (outbox_) outbox_->detach();
  set_busy(false);
  error_code ignored;
  socket_.close(ignored);  // who reads `open` may count files
  if (core_.open.fetch_sub(1) == 1) {
    const std::lock_guard lock(core_.idle_mutex);
    core_.idle.notify_all();
  }
}

void Connection::set_busy(bool busy) {
  if (busy == std::exchange(busy_, busy)) return;
  if (core_.busy.fetch_add(busy ? 1 : -1) == 1 && !busy) {
    const std::lock_guard lock(core_.idle_mutex);
    core_.idle.notify_all();
  }
}

void Connection::start() {
  if (core_.closing.load()) return close(false);
  tune(socket_, core_.limits.write_stall);
  begun_ = Clock::now();
  read_deadline_ = begun_ + core_.limits.header_deadline;
  wait_readable();
  update_timer();
}

void Connection::reject() {
  tune(socket_, core_.limits.write_stall);
  begun_ = Clock::now();
  core_.rejected.fetch_add(1);
  begin_refusal(503, "unavailable", "too many connections");
}

void Connection::close_unless_busy() {
  if (!busy_) close(false);
}

void Connection::close(bool reset) {
  if (phase_ == Phase::closed) return;
  const bool answering = phase_ == Phase::answering;
  phase_ = Phase::closed;
  set_busy(false);
  if (answering) {
    tell_handler_that_client_left();
    report(false);
    outbox_->detach();
  }
  error_code ignored;
  if (reset) socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  timer_.cancel();
}

void Connection::close_after(const error_code& error) {
  if (error == asio::error::timed_out) core_.stalled.fetch_add(1);  // the kernel saw it first
  close(false);
}

void Connection::tell_handler_that_client_left() {
  std::function<void()> callback;
  if (!outbox_->leave(callback)) return;
  client_left_ = true;
  core_.abandoned.fetch_add(1);
  try {
    if (callback) callback();
  } catch (...) {
    error_of(std::current_exception(), "on_close");  // logged there; nobody is left to tell
  }
}

void Connection::wait_readable() {
  if (waiting_readable_ || peer_closed_ || phase_ == Phase::closed) return;
  if (phase_ == Phase::answering && input_.size() >= core_.limits.pipelined_bytes) return;
  waiting_readable_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](const error_code& error) {
    self->waiting_readable_ = false;
    if (!error) self->on_readable();
  });
}

void Connection::on_readable() {
  if (phase_ == Phase::closed) return;
  size_t room = loop_.scratch.size();
  if (phase_ == Phase::answering) {
    if (input_.size() >= core_.limits.pipelined_bytes) return;
    room = std::min(room, core_.limits.pipelined_bytes - input_.size());
  }
  error_code error;
  const size_t got = socket_.read_some(asio::buffer(loop_.scratch.data(), room), error);
  if (error == asio::error::eof) return on_peer_closed();
  if (error && error != asio::error::would_block && error != asio::error::interrupted) {
    return close_after(error);
  }
  const std::string_view bytes(loop_.scratch.data(), error ? 0 : got);
  if (phase_ == Phase::answering) {
    input_.append(bytes);
  } else if (phase_ == Phase::lingering) {
    lingered_bytes_ += bytes.size();
    if (lingered_bytes_ > kMaxLingeredBytes) return close(true);
  } else {
    consume(bytes);
  }
  wait_readable();
}

void Connection::on_peer_closed() {
  peer_closed_ = true;
  if (phase_ != Phase::answering) return close(false);
  tell_handler_that_client_left();
}

void Connection::consume(std::string_view bytes) {
  while (!bytes.empty() && phase_ == Phase::reading) {
    if (!request_begun_) {
      request_begun_ = true;
      set_busy(!core_.draining.load());
      begun_ = Clock::now();
      read_deadline_ = begun_ + core_.limits.header_deadline;
    }
    const RequestReader::State before = reader_.state();
    bytes.remove_prefix(reader_.feed(bytes));
    const RequestReader::State now = reader_.state();
    if (now == RequestReader::State::complete) {
      begin_answer();
    } else if (now == RequestReader::State::refused) {
      const RequestReader::Refusal refusal = reader_.refusal();
      core_.refused.fetch_add(1);
      begin_refusal(refusal.status, refusal.code, refusal.message);
    } else if (now == RequestReader::State::body && before != now) {
      read_deadline_ = Clock::now() + core_.limits.body_deadline;
      if (reader_.expects_continue() && bytes.empty()) {
        error_code ignored;  // nothing else is being written: 25 bytes fit
        socket_.write_some(asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25), ignored);
      }
    }
  }
  if (phase_ == Phase::answering) input_.append(bytes);
  update_timer();
}

ReplyPtr Connection::open_answer(const Request& request, bool keep_alive) {
  exchange_ = {request.method, request.path, request.id, address_, {}};
  client_left_ = false;
  phase_ = Phase::answering;
  set_busy(true);
  read_deadline_ = Clock::time_point::max();
  Outbox::Setup setup{reader_.http11(), request.method == "HEAD",        keep_alive,
                      request.id,       core_.limits.stream_queue_bytes, &core_.draining};
  if (core_.answer_headers) setup.headers = core_.answer_headers(request);
  outbox_ = std::make_shared<Outbox>(
      std::move(setup), [self = shared_from_this()] {  // a circle until the answer is detached
        asio::post(self->loop_.context, [self] { self->pump(); });
      });
  return std::make_shared<Reply>(outbox_);
}

void Connection::begin_answer() {
  const bool keep_alive = reader_.keep_alive();
  Request request = reader_.take();
  const std::string_view given = request.header("X-Request-ID");
  request.id =
      is_sane_request_id(given) ? std::string(given) : fmt::format("req-{:016x}", loop_.ids());
  request.address = address_;
  request.received = begun_;
  core_.requests.fetch_add(1);
  const ReplyPtr reply = open_answer(request, keep_alive);
  try {
    core_.handler(std::move(request), reply);
  } catch (...) {
    reply->send_exception(std::current_exception(),
                          fmt::format("{} {}", exchange_.method, loggable(exchange_.path)));
  }
  if (peer_closed_) tell_handler_that_client_left();
}

void Connection::begin_refusal(int status, std::string code, std::string message) {
  Request named;
  named.method = reader_.request().method;
  named.path = reader_.request().path;
  named.headers = reader_.request().headers;
  named.id = fmt::format("req-{:016x}", loop_.ids());
  open_answer(named, false)->send_error(HttpError(status, std::move(code), std::move(message)));
}

}  // namespace llm::http
