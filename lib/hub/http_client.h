// HTTP requests through libcurl, as careful as a downloader must be.
//
// Redirects are followed here, not by libcurl: a token goes to the host it was given for (same
// scheme, host and port) and to no other; https never becomes http; at most five hops. A body goes
// to a sink piece by piece, or into the reply up to a limit. A transfer that does not move for 30
// seconds ends. Throws Error(Exit::io) for an address that cannot be used; what the network does is
// in the reply. Not thread-safe: one client per thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace llm {

struct HttpRequest {
  std::string url;
  bool head = false;
  std::string token;                    // sent as "Authorization: Bearer" to the url's own host
  std::optional<uint64_t> range_begin;  // Range: bytes=N-
  bool follow_elsewhere = true;         // also to other hosts; relative redirects always
  /// A reply of 200 or 206 begins (false = do not take the body), then its pieces.
  std::function<bool(const struct HttpReply&)> begin;
  std::function<bool(std::string_view)> sink;
  std::function<bool()> stop;  // asked several times a second
};

struct HttpReply {
  long status = 0;                             // 0: no reply at all
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // without a sink, or of an error; at most 64 MiB
  std::string url;                             // the last one asked
  std::string linked_tag;  // X-Linked-Etag of the first host, also where it sent us elsewhere
  std::string failure;     // what went wrong on the way, "" if nothing
  bool lasting = false;    // the failure is the server's answer: asking again gives the same
  bool stopped = false;    // by `stop`

  std::string header(std::string_view name) const;
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  HttpReply send(const HttpRequest& request);

 private:
  struct Handle;
  HttpReply send_once(const HttpRequest& request, const std::string& url, bool with_token,
                      const std::string& linked_tag);
  std::unique_ptr<Handle> handle_;
};

/// "https://host:port", lower case, with the port always there; "" if it is no http(s) address.
std::string url_origin(std::string_view url);
/// True for http to 127.0.0.1, ::1 or localhost.
bool is_loopback_url(std::string_view url);
/// Where a Location header leads, seen from the address that sent it; nothing where it must not be
/// followed: from https to anything else, or away from http and https.
std::optional<std::string> redirect_target(const std::string& from, const std::string& location);
/// For one segment of a path: everything but letters, digits and -._~ as %XX.
std::string url_escape(std::string_view text, bool keep_slashes);

}  // namespace llm
