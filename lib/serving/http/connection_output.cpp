// The second half of a connection: what is written, how it ends, and the clock that watches both.
#include "serving/http/connection.h"

#include <poll.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>

namespace llm::http {
namespace {

constexpr auto kNever = Connection::Clock::time_point::max();
constexpr std::chrono::seconds kPeerCheck{1};  // while no read can be pending
constexpr int kClientLeft = 499;

}  // namespace

void Connection::pump() {
  while (phase_ == Phase::answering) {
    const Outbox::Progress progress = outbox_->look();
    if (progress.dropped) return close(true);
    if (waiting_writable_) break;
    writing_ = outbox_->take();
    if (writing_.empty()) {
      if (progress.finished) finish_answer();
      break;
    }
    written_ = 0;
    const auto at_rate =
        std::chrono::milliseconds(writing_.size() * 1000 / core_.limits.write_bytes_per_second);
    write_deadline_ = Clock::now() + core_.limits.write_stall + at_rate;
    if (!flush()) break;
  }
  if (phase_ != Phase::closed) update_timer();
}

bool Connection::flush() {
  while (written_ < writing_.size()) {
    boost::system::error_code error;
    const size_t sent = socket_.write_some(
        boost::asio::buffer(writing_.data() + written_, writing_.size() - written_), error);
    if (error == boost::asio::error::would_block) {
      waiting_writable_ = true;
      socket_.async_wait(boost::asio::ip::tcp::socket::wait_write,
                         [self = shared_from_this()](const boost::system::error_code& ended) {
                           self->waiting_writable_ = false;
                           if (!ended && self->phase_ == Phase::answering && self->flush())
                             self->pump();
                         });
      return false;
    }
    if (error && error != boost::asio::error::interrupted) {
      close_after(error);
      return false;
    }
    written_ += sent;
    exchange_.bytes_sent += sent;
  }
  write_deadline_ = kNever;
  outbox_->written(writing_.size());
  release(writing_);
  return true;
}

void Connection::report(bool complete) {
  if (!core_.observer) return;
  const int status = outbox_->progress().status;
  exchange_.status = status == 0 ? kClientLeft : status;
  exchange_.client = outbox_->client();
  exchange_.complete = complete && !client_left_;
  exchange_.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - begun_).count();
  try {
    core_.observer(exchange_);
  } catch (...) {
    error_of(std::current_exception(), "the observer of exchanges");
  }
}

void Connection::finish_answer() {
  const bool more_is_here = !peer_closed_ || !input_.empty();  // sent before it closed its half
  const bool keep_alive = outbox_->progress().keep_alive && more_is_here && !core_.draining.load();
  report(true);
  outbox_->detach();
  outbox_.reset();
  set_busy(false);
  if (!keep_alive) return linger();
  phase_ = Phase::reading;
  request_begun_ = false;
  read_deadline_ = Clock::now() + core_.limits.idle_keep_alive;
  const std::string ahead = std::exchange(input_, {});
  consume(ahead);
  if (peer_closed_ && phase_ == Phase::reading) return close(false);
  wait_readable();
}

/// Our side is said; a client that is still sending must not lose it to a reset.
void Connection::linger() {
  phase_ = Phase::lingering;
  boost::system::error_code ignored;
  if (peer_closed_ || core_.closing.load()) return close(false);
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  read_deadline_ = Clock::now() + core_.limits.linger;
  release(input_);
  wait_readable();
}

/// True for a peer that has neither closed nor reset, where no pending read can tell.
bool Connection::peer_is_there() const {
  pollfd one{const_cast<boost::asio::ip::tcp::socket&>(socket_).native_handle(), POLLRDHUP, 0};
  return ::poll(&one, 1, 0) <= 0 || (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
}

void Connection::update_timer() {
  if (phase_ == Phase::closed) return;
  Clock::time_point next = read_deadline_;
  if (phase_ == Phase::answering) {
    next = std::min(write_deadline_, outbox_->progress().ping_at);
    if (!waiting_readable_ && !peer_closed_) next = std::min(next, Clock::now() + kPeerCheck);
  }
  if (next >= timer_at_) return;  // kNever too; a timer that fires early looks again
  timer_at_ = next;
  timer_.expires_at(next);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->on_timer();
  });
}

void Connection::on_timer() {
  timer_at_ = kNever;
  const auto now = Clock::now();
  if (phase_ == Phase::answering) {
    if (now >= write_deadline_) {
      core_.stalled.fetch_add(1);
      return close(true);
    }
    if (!waiting_readable_ && !peer_closed_ && !peer_is_there()) on_peer_closed();
    if (phase_ == Phase::answering && now >= outbox_->progress().ping_at) {
      outbox_->send_ping(now);
      pump();
    }
  } else if (now >= read_deadline_) {
    // (What a lingering client has not read yet, the kernel goes on sending; a reset would drop
    // it.)
    if (phase_ != Phase::reading || !request_begun_) return close(false);
    core_.refused.fetch_add(1);
    begin_refusal(408, "request_timeout", "the request did not arrive in time");
  }
  update_timer();
}

}  // namespace llm::http
