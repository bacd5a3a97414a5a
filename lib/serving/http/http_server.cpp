#include <utility>  // before Boost: its headers use std::exchange without asking for it

#include "serving/http/http_server.h"

#include <fmt/format.h>
#include <signal.h>

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <future>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "serving/http/connection.h"

namespace llm::http {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

constexpr int kRejectedAtOnce = 64;  // connections over the limit that are told so; more are cut
constexpr std::chrono::milliseconds kAcceptRetry{100};  // after "too many open files"

/// Signals stay with the program's own threads.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

std::string without_brackets(const std::string& host) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  return bracketed ? host.substr(1, host.size() - 2) : host;
}

std::string host_and_port(const std::string& host, int port) {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

tcp::endpoint endpoint_of(boost::asio::io_context& context, const std::string& host, int port,
                          error_code& error) {
  const auto found = tcp::resolver(context).resolve(
      host, std::to_string(port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (error) return {};
  for (const auto& entry : found) {
    if (entry.endpoint().protocol() == tcp::v4()) return entry.endpoint();
  }
  return found.begin()->endpoint();
}

}  // namespace

struct Server::State {
  explicit State(ServerConfig given)
      : host(without_brackets(given.host)),
        loops(static_cast<size_t>(given.io_threads)),
        acceptor(loops.front().context),
        retry(loops.front().context) {
    core.limits = given.limits;
    core.handler = std::move(given.handler);
    core.observer = std::move(given.observer);
    core.answer_headers = std::move(given.answer_headers);
  }

  void listen(int port) {
    error_code error;
    const tcp::endpoint endpoint = endpoint_of(loops.front().context, host, port, error);
    if (!error) acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && endpoint.protocol() == tcp::v6()) {
      acceptor.set_option(boost::asio::ip::v6_only(false), error);
    }
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(boost::asio::socket_base::max_listen_connections, error);
    if (error) {
      fail(Exit::usage,
           fmt::format("cannot listen on {}: {}", host_and_port(host, port), error.message()));
    }
    this->port = acceptor.local_endpoint().port();
  }

  void accept() {
    Loop& loop = loops[next_loop++ % loops.size()];
    acceptor.async_accept(loop.context, [this, &loop](const error_code& error, tcp::socket socket) {
      if (stopping || error == boost::asio::error::operation_aborted) return;
      if (error) return accept_later(error);
      take(loop, std::move(socket));
      accept();
    });
  }

  void accept_later(const error_code& error) {
    if (!said_accept_failed) log_warn("cannot accept connections: {}", error.message());
    said_accept_failed = true;
    retry.expires_after(kAcceptRetry);
    retry.async_wait([this](const error_code& ended) {
      if (!ended && !stopping && acceptor.is_open()) accept();
    });
  }

  void take(Loop& loop, tcp::socket socket) {
    const int open = core.open.fetch_add(1) + 1;
    core.accepted.fetch_add(1);
    if (open > core.limits.connections + kRejectedAtOnce) {
      core.open.fetch_sub(1);
      core.rejected.fetch_add(1);
      return;  // the socket closes itself
    }
    const bool one_too_many = open > core.limits.connections;
    boost::asio::post(
        loop.context, [this, &loop, one_too_many, socket = std::move(socket)]() mutable {
          const auto connection = std::make_shared<Connection>(loop, core, std::move(socket));
          if (stopping) return;
          one_too_many ? connection->reject() : connection->start();
        });
  }

  void stop_accepting() {
    std::promise<void> done;
    boost::asio::post(loops.front().context, [&] {
      error_code ignored;
      acceptor.close(ignored);
      retry.cancel();
      done.set_value();
    });
    done.get_future().wait();
  }

  /// `visit` for every connection, on its own thread.
  template <typename Visit>
  void for_each_connection(Visit visit) {
    for (Loop& loop : loops) {
      boost::asio::post(loop.context, [&loop, visit] {
        std::vector<std::shared_ptr<Connection>> all;
        for (Connection* connection : loop.connections) {
          if (auto held = connection->weak_from_this().lock()) all.push_back(std::move(held));
        }
        for (const auto& connection : all) visit(*connection);
      });
    }
  }

  const std::string host;
  int port = 0;
  ServerCore core;
  std::vector<Loop> loops;
  size_t next_loop = 0;
  tcp::acceptor acceptor;
  boost::asio::steady_timer retry;
  std::unique_ptr<boost::asio::thread_pool> workers;
  std::atomic<bool> stopping{false};
  bool said_accept_failed = false;
  bool stopped = false;
};

Server::Server(ServerConfig config) {
  check(config.io_threads >= 1 && config.io_threads <= 64,
        "io_threads must be from 1 to 64, got {}", config.io_threads);
  check(config.worker_threads >= 1 && config.worker_threads <= 256,
        "worker_threads must be from 1 to 256, got {}", config.worker_threads);
  check(config.port >= 0 && config.port <= 65535, "port must be from 0 to 65535, got {}",
        config.port);
  const int port = config.port, workers = config.worker_threads;
  state_ = std::make_unique<State>(std::move(config));
  state_->listen(port);
  const SignalsBlocked signals_blocked;
  state_->workers = std::make_unique<boost::asio::thread_pool>(static_cast<size_t>(workers));
  state_->accept();
  for (Loop& loop : state_->loops) {
    loop.thread = std::thread([&loop] { loop.context.run(); });
  }
}

Server::~Server() { stop(); }

int Server::port() const { return state_->port; }

std::string Server::url() const {
  return fmt::format("http://{}", host_and_port(state_->host, state_->port));
}

void Server::post(std::function<void()> work) {
  boost::asio::post(*state_->workers, [work = std::move(work)] {
    try {
      work();
    } catch (...) {
      error_of(std::current_exception(), "a worker of the server");
    }
  });
}

bool Server::draining() const { return state_->core.draining.load(); }

bool Server::drain(std::chrono::milliseconds at_most) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  if (state_->stopped) return true;
  ServerCore& core = state_->core;
  const auto wait_for_none = [&](const std::atomic<int>& connections) {
    std::unique_lock lock(core.idle_mutex);
    return core.idle.wait_until(lock, until, [&] { return connections.load() == 0; });
  };
  core.draining = true;
  if (!wait_for_none(core.busy)) return false;
  core.closing = true;
  state_->stop_accepting();
  state_->for_each_connection([](Connection& connection) { connection.close_unless_busy(); });
  return wait_for_none(core.open);
}

void Server::stop() {
  if (!state_ || state_->stopped) return;
  state_->stopped = true;
  state_->stopping = true;
  state_->core.draining = true;
  state_->core.closing = true;
  state_->stop_accepting();
  state_->for_each_connection([](Connection& connection) { connection.close(false); });
  state_->workers->stop();
  state_->workers->join();
  for (Loop& loop : state_->loops) {
    loop.work.reset();
    loop.thread.join();
  }
}

ServerStats Server::stats() const {
  const ServerCore& core = state_->core;
  return {core.accepted, core.rejected,  core.requests, core.refused,
          core.stalled,  core.abandoned, core.open};
}

}  // namespace llm::http
