// The HTTP/1.1 server: sockets, limits and threads, without any knowledge of what is served.
//
// Boost.Asio, asynchronous: each io thread owns its connections, so a connection needs no lock;
// reading goes on while a request is answered, so that a client that leaves is noticed at once.
// Handlers run on an io thread and must be quick: work of more than a millisecond goes to
// `post`, and the answer may come later from any thread (see reply.h). Keep-alive and pipelining:
// one request of a connection is answered at a time, in order. Every limit of limits.h holds
// before anything is stored. An exception of a handler becomes an answer (see http_error.h).
//
// Start is the constructor, stop is stop() or the destructor. drain() first lets running answers
// end.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "serving/http/limits.h"
#include "serving/http/reply.h"
#include "serving/http/request.h"

namespace llm::http {

using Handler = std::function<void(Request&&, const ReplyPtr&)>;

/// A finished exchange, for the access log and metrics; also of a request that was refused before
/// it had a handler (then method and path may be empty).
struct Exchange {
  std::string method, path, id, address, client;  // client: what Reply::set_client was given
  int status = 0;                                 // 499: the client left before there was one
  uint64_t bytes_sent = 0;                        // header and body
  double milliseconds = 0;                        // first byte of the request to the last we sent
  bool complete = false;                          // all of the answer left for the client
};

struct ServerConfig {
  std::string host = "127.0.0.1";  // or "::1", "[::1]", "localhost", "0.0.0.0", "::"
  int port = 8000;                 // 0: one that is free
  int io_threads = 1;
  int worker_threads = 1;  // of post()
  Limits limits;
  Handler handler;
  std::function<void(const Exchange&)> observer;  // from io threads; must be quick
  /// Headers of every answer to a request, also where it is refused before it is complete (then
  /// headers may be missing). From io threads; quick; must not throw. May be empty.
  std::function<Headers(const Request&)> answer_headers;
};

struct ServerStats {
  uint64_t accepted = 0;
  uint64_t rejected = 0;   // over the connection limit
  uint64_t requests = 0;   // that reached the handler
  uint64_t refused = 0;    // malformed, too large, too slow
  uint64_t stalled = 0;    // streams cut because their client did not read
  uint64_t abandoned = 0;  // answers that the client did not wait for
  int open = 0;            // connections now
};

class Server {
 public:
  /// Listens and serves from here on. Throws Error(Exit::usage): "cannot listen on 127.0.0.1:8000:
  /// Address already in use".
  explicit Server(ServerConfig config);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;
  std::string url() const;  // "http://127.0.0.1:8000"

  /// Runs work on a worker thread. What it throws is logged: catch at the edge where a Reply is
  /// known. Work that has not begun when the server stops is dropped.
  void post(std::function<void()> work);

  /// Running answers may end: blocks until they have (true; all connections are closed then) or the
  /// time is over (false; then end the streams, and stop()). Meanwhile every connection, also one
  /// that comes now, has one request answered, with "Connection: close", so that draining() can be
  /// told to who asks; what begins now holds nothing up until its handler runs.
  bool drain(std::chrono::milliseconds at_most);
  bool draining() const;
  /// Closes everything that is still open (their on_close is called) and joins the threads. Not
  /// from a handler or callback.
  void stop();

  ServerStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llm::http
