#include "hub/http_client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "base/error.h"
#include "base/version.h"

namespace llm {
namespace {

constexpr size_t kMaxBody = 64u << 20;
constexpr size_t kMaxHeaderBytes = 256u << 10;
constexpr int kMaxRedirects = 5;
constexpr long kConnectSeconds = 15, kStallSeconds = 30;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return result;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) <= ' ')) text.remove_suffix(1);
  return text;
}

/// One exchange: what libcurl's callbacks work on.
struct Exchange {
  const HttpRequest& request;
  HttpReply& reply;
  CURL* curl;
  size_t header_bytes = 0;
  bool begun = false, refused = false;
  std::exception_ptr thrown = nullptr;  // by a callback; libcurl must not see it

  bool is_success() {
    ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
    return reply.status == 200 || reply.status == 206;
  }
};

size_t on_header(char* data, size_t size, size_t count, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const std::string_view line(data, size * count);
  exchange.header_bytes += line.size();
  if (exchange.header_bytes > kMaxHeaderBytes) return 0;
  if (line.starts_with("HTTP/")) exchange.reply.headers.clear();  // after 100 Continue
  if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    exchange.reply.headers[lower(line.substr(0, colon))] = trimmed(line.substr(colon + 1));
  }
  return size * count;
}

size_t on_body(char* data, size_t size, size_t count, void* context) {
  auto& exchange = *static_cast<Exchange*>(context);
  const std::string_view bytes(data, size * count);
  if (exchange.request.sink && exchange.is_success()) {
    try {
      if (!exchange.begun) {
        exchange.begun = true;
        exchange.refused = exchange.request.begin && !exchange.request.begin(exchange.reply);
      }
      exchange.refused = exchange.refused || !exchange.request.sink(bytes);
    } catch (...) {  // goes on behind curl, whose C frames it must not cross
      exchange.thrown = std::current_exception();
      exchange.refused = true;
    }
    return exchange.refused ? 0 : bytes.size();
  }
  if (exchange.reply.body.size() + bytes.size() > kMaxBody) return 0;
  exchange.reply.body += bytes;
  return bytes.size();
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  auto& exchange = *static_cast<Exchange*>(context);
  exchange.reply.stopped = exchange.request.stop && exchange.request.stop();
  return exchange.reply.stopped;
}

/// The address of a Location header, seen from the one that sent it.
std::string joined_url(const std::string& base, const std::string& location) {
  std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)> url(::curl_url(), ::curl_url_cleanup);
  char* text = nullptr;
  if (!url || ::curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      ::curl_url_set(url.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK ||
      ::curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) {
    return "";
  }
  std::string result = text;
  ::curl_free(text);
  return result;
}

std::string url_part(std::string_view address, CURLUPart part, unsigned flags) {
  std::unique_ptr<CURLU, decltype(&::curl_url_cleanup)> url(::curl_url(), ::curl_url_cleanup);
  char* text = nullptr;
  if (!url ||
      ::curl_url_set(url.get(), CURLUPART_URL, std::string(address).c_str(), 0) != CURLUE_OK ||
      ::curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) {
    return "";
  }
  std::string result = lower(text);
  ::curl_free(text);
  return result;
}

}  // namespace

std::string url_origin(std::string_view url) {
  const std::string scheme = url_part(url, CURLUPART_SCHEME, 0);
  const std::string host = url_part(url, CURLUPART_HOST, 0);
  if ((scheme != "http" && scheme != "https") || host.empty()) return "";
  return fmt::format("{}://{}:{}", scheme, host, url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

bool is_loopback_url(std::string_view url) {
  const std::string host = url_part(url, CURLUPART_HOST, 0);
  return host == "127.0.0.1" || host == "localhost" || host == "[::1]";
}

std::optional<std::string> redirect_target(const std::string& from, const std::string& location) {
  const std::string next = joined_url(from, location), origin = url_origin(next);
  const bool is_downgrade = url_origin(from).starts_with("https:") && !origin.starts_with("https:");
  if (origin.empty() || is_downgrade) return std::nullopt;
  return next;
}

std::string url_escape(std::string_view text, bool keep_slashes) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (keep_slashes && c == '/');
    if (plain) {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

std::string HttpReply::header(std::string_view name) const {
  const auto found = headers.find(std::string(name));
  return found == headers.end() ? "" : found->second;
}

struct HttpClient::Handle {
  CURL* curl = nullptr;
};

HttpClient::HttpClient() : handle_(std::make_unique<Handle>()) {
  static const CURLcode ready = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  handle_->curl = ready == CURLE_OK ? ::curl_easy_init() : nullptr;
  if (!handle_->curl) fail(Exit::io, "libcurl could not be started");
}

HttpClient::~HttpClient() { ::curl_easy_cleanup(handle_->curl); }

HttpReply HttpClient::send_once(const HttpRequest& request, const std::string& url, bool with_token,
                                const std::string& linked_tag) {
  CURL* curl = handle_->curl;
  HttpReply reply;
  reply.url = url;
  reply.linked_tag = linked_tag;
  Exchange exchange{request, reply, curl};
  char problem[CURL_ERROR_SIZE] = "";
  ::curl_easy_reset(curl);  // connections stay open
  ::curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  ::curl_easy_setopt(curl, CURLOPT_NOBODY, request.head ? 1L : 0L);
  ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  ::curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStallSeconds);
  const std::string agent = "llm/" + program_version();
  ::curl_easy_setopt(curl, CURLOPT_USERAGENT, agent.c_str());
  ::curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, problem);
  ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  ::curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  ::curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  ::curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &exchange);
#if LIBCURL_VERSION_NUM >= 0x075500
  ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  curl_slist* lines = nullptr;
  if (with_token) {
    lines = ::curl_slist_append(lines, ("Authorization: Bearer " + request.token).c_str());
  }
  ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines);
  const std::string range = request.range_begin ? fmt::format("{}-", *request.range_begin) : "";
  if (!range.empty()) ::curl_easy_setopt(curl, CURLOPT_RANGE, range.c_str());
  const CURLcode code = ::curl_easy_perform(curl);
  ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
  ::curl_slist_free_all(lines);
  if (exchange.thrown) std::rethrow_exception(exchange.thrown);
  if (code == CURLE_OK && request.sink && exchange.is_success() && !exchange.begun) {
    exchange.refused = request.begin && !request.begin(reply);  // an empty body
  }
  if (code != CURLE_OK && !reply.stopped && !exchange.refused) {
    reply.failure = problem[0] ? problem : ::curl_easy_strerror(code);
  }
  return reply;
}

HttpReply HttpClient::send(const HttpRequest& request) {
  const std::string home = url_origin(request.url);
  if (home.empty())
    fail(Exit::io, fmt::format("'{}' is not an http or https address", request.url));
  // A token travels over https, or stays on this machine.
  const bool may_have_token =
      !request.token.empty() && (home.starts_with("https:") || is_loopback_url(request.url));
  std::string url = request.url, linked_tag;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    const bool at_home = url_origin(url) == home;
    HttpReply reply = send_once(request, url, may_have_token && at_home, linked_tag);
    if (at_home && !reply.header("x-linked-etag").empty()) {
      linked_tag = reply.linked_tag = reply.header("x-linked-etag");
    }
    const std::string location = reply.header("location");
    if (reply.status < 300 || reply.status >= 400 || location.empty() || !reply.failure.empty()) {
      return reply;
    }
    const std::optional<std::string> next = redirect_target(url, location);
    if (!next) {
      reply.failure = fmt::format("the server sends us on to an address that is not https: '{}'",
                                  location.substr(0, 200));
      reply.lasting = true;
      return reply;
    }
    if (!request.follow_elsewhere && url_origin(*next) != home) return reply;
    url = *next;
  }
  HttpReply reply;
  reply.url = url;
  reply.failure = fmt::format("more than {} redirects", kMaxRedirects);
  return reply;
}

}  // namespace llm
