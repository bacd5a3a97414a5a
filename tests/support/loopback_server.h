// An HTTP server for tests: one answer per connection, on 127.0.0.1, able to lie and to break off.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace llm {

using HeaderLines = std::map<std::string, std::string>;

struct LoopbackRequest {
  std::string method, target;
  HeaderLines headers;  // names in lower case

  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct LoopbackReply {
  int status = 200;  // 0: the connection is closed without a word
  HeaderLines headers = {};
  std::string body = {};
  size_t cut_after = std::numeric_limits<size_t>::max();  // bytes of the body, then the end
  size_t bytes_per_second = 0;                            // 0: at once
};

class LoopbackServer {
 public:
  using Answer = std::function<LoopbackReply(const LoopbackRequest&)>;

  explicit LoopbackServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || ::bind(listener_, plain, size) != 0 || ::listen(listener_, 64) != 0 ||
        ::getsockname(listener_, plain, &size) != 0) {
      throw std::runtime_error("no loopback socket");
    }
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }

  ~LoopbackServer() {
    stopping_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }
  LoopbackServer(const LoopbackServer&) = delete;
  LoopbackServer& operator=(const LoopbackServer&) = delete;

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void accept_all() {
    while (!stopping_) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      threads_.emplace_back([this, connection] {
        serve(connection);
        ::close(connection);
      });
    }
  }

  void serve(int connection) {
    timeval patience{5, 0};
    ::setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    std::string head;
    char block[4096];
    while (head.find("\r\n\r\n") == std::string::npos && head.size() < 65536) {
      const ssize_t count = ::recv(connection, block, sizeof(block), 0);
      if (count <= 0) return;
      head.append(block, static_cast<size_t>(count));
    }
    const LoopbackRequest request = parsed(head);
    const LoopbackReply reply = answer_(request);
    if (reply.status == 0) return;
    std::string text = "HTTP/1.1 " + std::to_string(reply.status) + " X\r\nConnection: close\r\n";
    for (const auto& [name, value] : reply.headers) text += name + ": " + value + "\r\n";
    if (reply.headers.count("Content-Length") == 0) {
      text += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    }
    text += "\r\n";
    if (!send_all(connection, text, 0) || request.method == "HEAD") return;
    send_all(connection, std::string_view(reply.body).substr(0, reply.cut_after),
             reply.bytes_per_second);
    ::shutdown(connection, SHUT_WR);
    while (::recv(connection, block, sizeof(block), 0) > 0) {
    }
  }

  static LoopbackRequest parsed(const std::string& head) {
    LoopbackRequest request;
    const std::string first = head.substr(0, head.find("\r\n"));
    const size_t space = first.find(' '), second = first.rfind(' ');
    request.method = first.substr(0, space);
    request.target = first.substr(space + 1, second - space - 1);
    for (size_t at = first.size() + 2; at < head.size();) {
      const size_t end = head.find("\r\n", at), colon = head.find(": ", at);
      if (end == at || end == std::string::npos) break;
      if (colon < end) {
        std::string name = head.substr(at, colon - at);
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        request.headers[name] = head.substr(colon + 2, end - colon - 2);
      }
      at = end + 2;
    }
    return request;
  }

  bool send_all(int connection, std::string_view bytes, size_t bytes_per_second) const {
    const size_t step = bytes_per_second == 0 ? bytes.size() : bytes_per_second / 50 + 1;
    while (!bytes.empty() && !stopping_) {
      const ssize_t sent =
          ::send(connection, bytes.data(), std::min(step, bytes.size()), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
      if (bytes_per_second != 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return !stopping_;
  }

  Answer answer_;
  int listener_ = -1, port_ = 0;
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;  // touched by the acceptor, then by the destructor
  std::thread acceptor_;
};

}  // namespace llm
