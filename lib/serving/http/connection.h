// One client's socket: read, answer, write, in turn, under the deadlines. Private to the server.
//
// Lives on one io thread (a Loop) and is touched by no other; kept alive by the operations that
// wait for it. A single read is always pending while there is room for what it brings, also during
// an answer: that is how a client that leaves is noticed. Asio is in here and in http_server.cpp
// only.
#pragma once

#include <utility>  // before Boost: its headers use std::exchange without asking for it

#include <array>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_set>

#include "serving/http/http_server.h"
#include "serving/http/outbox.h"
#include "serving/http/request_reader.h"

namespace llm::http {

class Connection;

/// What all connections share.
struct ServerCore {
  Limits limits;
  Handler handler;
  std::function<void(const Exchange&)> observer;
  std::function<Headers(const Request&)> answer_headers;
  std::atomic<bool> draining{false};  // one more answer for each connection, new ones too
  std::atomic<bool> closing{false};   // and now none: what runs is all that is left
  std::atomic<uint64_t> accepted{0}, rejected{0}, requests{0}, refused{0}, stalled{0}, abandoned{0};
  std::atomic<int> open{0};
  std::atomic<int> busy{0};  // connections whose request holds up a drain
  std::mutex idle_mutex;
  std::condition_variable idle;  // open or busy became 0
};

/// An io thread and what lives on it.
struct Loop {
  std::unordered_set<Connection*> connections;  // outlives the context, whose end may destroy some
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
      context.get_executor()};
  std::array<char, 64 << 10> scratch;  // every read lands here first
  std::mt19937_64 ids{std::random_device{}()};
  std::thread thread;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;
  Connection(Loop& loop, ServerCore& core, boost::asio::ip::tcp::socket socket);
  ~Connection();
  void start();
  void reject();             // one too many: 503, then closed
  void close_unless_busy();  // the end of a drain
  void close(bool reset);
  void close_after(const boost::system::error_code& error);

 private:
  enum class Phase { reading, answering, lingering, closed };
  void wait_readable();
  void on_readable();
  void on_peer_closed();
  void consume(std::string_view bytes);
  void begin_answer();
  void begin_refusal(int status, std::string code, std::string message);
  ReplyPtr open_answer(const Request& request, bool keep_alive);
  void pump();
  bool flush();  // false: not done, or closed
  void finish_answer();
  void report(bool complete);
  void linger();
  void tell_handler_that_client_left();
  void set_busy(bool busy);
  void update_timer();
  void on_timer();
  bool peer_is_there() const;

  Loop& loop_;
  ServerCore& core_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  Clock::time_point timer_at_ = Clock::time_point::max();
  RequestReader reader_;
  std::string address_;
  std::string input_;  // read ahead of the answer in progress
  Phase phase_ = Phase::reading;
  bool waiting_readable_ = false, waiting_writable_ = false, peer_closed_ = false;
  bool client_left_ = false;    // before the answer was complete
  bool request_begun_ = false;  // a byte of it has come
  bool busy_ = false;           // is answering, or reads what came before the drain
  size_t lingered_bytes_ = 0;
  Clock::time_point read_deadline_ = Clock::time_point::max();
  Clock::time_point write_deadline_ = Clock::time_point::max();
  std::shared_ptr<Outbox> outbox_;
  std::string writing_;
  size_t written_ = 0;  // of writing_
  Clock::time_point begun_{};
  Exchange exchange_;
};

}  // namespace llm::http
