// A client on a plain socket, for tests: sends exactly the bytes it is given, well-formed or not.
//
// Every wait has an end (seconds); a test that runs into one fails by what it then compares.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace llm::http {

struct RawAnswer {
  int status = 0;    // 0: none came
  std::string head;  // status line and headers
  std::string body;  // without chunk framing
  bool whole = false;

  /// "" if it is not there.
  std::string header(const std::string& name) const {
    std::string low_head = head, low = "\n" + name + ": ";
    const auto lower = [](std::string& text) {
      std::transform(text.begin(), text.end(), text.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    };
    lower(low_head);
    lower(low);
    const size_t at = low_head.find(low);
    if (at == std::string::npos) return "";
    const size_t from = at + low.size();
    return head.substr(from, head.find('\r', from) - from);
  }
};

class RawClient {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RawClient(int port, int receive_buffer_bytes = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer_bytes > 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(fd_);
      fd_ = -1;
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), held_(std::move(other.held_)) {}
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  /// False if the server stopped taking bytes.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void close_sending_half() { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger at_once{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close();
  }

  /// Reads more into the held bytes; false at the end of the connection or of the time.
  bool read_more(double seconds) {
    pollfd one{fd_, POLLIN, 0};
    if (::poll(&one, 1, static_cast<int>(seconds * 1000)) <= 0) return false;
    char piece[16384];
    const ssize_t got = ::recv(fd_, piece, sizeof piece, 0);
    ended_ = got <= 0;
    if (got > 0) held_.append(piece, static_cast<size_t>(got));
    return got > 0;
  }

  /// All that comes until the server closes; nothing if it does not within the time.
  std::optional<std::string> read_to_end(double seconds = 5) {
    const auto until = Clock::now() + std::chrono::duration<double>(seconds);
    while (Clock::now() < until) {
      if (!read_more(std::max(0.0, std::chrono::duration<double>(until - Clock::now()).count())) &&
          ended_) {
        return std::exchange(held_, {});
      }
    }
    return std::nullopt;
  }

  bool read_until(std::string_view text, double seconds = 5) {
    const auto until = Clock::now() + std::chrono::duration<double>(seconds);
    while (held_.find(text) == std::string::npos) {
      const double left = std::chrono::duration<double>(until - Clock::now()).count();
      if (left <= 0 || !read_more(left)) return false;
    }
    return true;
  }
  const std::string& held() const { return held_; }
  std::string take_held() { return std::exchange(held_, {}); }

  /// The next answer of the connection; what comes after it is held for the next call.
  RawAnswer read_answer(double seconds = 5, bool to_head = false) {
    RawAnswer answer;
    if (!read_until("\r\n\r\n", seconds)) return answer;
    const size_t end = held_.find("\r\n\r\n") + 4;
    answer.head = held_.substr(0, end);
    held_.erase(0, end);
    answer.status = std::atoi(answer.head.substr(9, 3).c_str());
    if (to_head || answer.status == 100 || answer.status == 204) {
      answer.whole = true;
    } else if (answer.header("Transfer-Encoding") == "chunked") {
      answer.whole = read_chunks(answer.body, seconds);
    } else if (!answer.header("Content-Length").empty()) {
      const size_t size = std::strtoull(answer.header("Content-Length").c_str(), nullptr, 10);
      while (held_.size() < size && read_more(seconds)) {
      }
      answer.body = held_.substr(0, size);
      answer.whole = answer.body.size() == size;
      held_.erase(0, answer.body.size());
    } else {
      const auto rest = read_to_end(seconds);
      answer.body = rest.value_or("");
      answer.whole = rest.has_value();
    }
    return answer;
  }

  RawAnswer ask(std::string_view request, double seconds = 5) {
    send(request);
    return read_answer(seconds);
  }

 private:
  bool read_chunks(std::string& body, double seconds) {
    while (true) {
      size_t line = held_.find("\r\n");
      while (line == std::string::npos) {
        if (!read_more(seconds)) return false;
        line = held_.find("\r\n");
      }
      const size_t size = std::strtoull(held_.c_str(), nullptr, 16);
      while (held_.size() < line + 2 + size + 2) {
        if (!read_more(seconds)) return false;
      }
      body += held_.substr(line + 2, size);
      held_.erase(0, line + 2 + size + 2);
      if (size == 0) return true;
    }
  }

  int fd_ = -1;
  bool ended_ = false;
  std::string held_;
};

inline std::string get_request(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + more + "\r\n";
}

inline std::string post_request(const std::string& path, const std::string& body,
                                const std::string& more = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + more + "\r\n" + body;
}

}  // namespace llm::http
