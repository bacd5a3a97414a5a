#include <utility>  // before Boost: its headers use std::exchange without asking for it

#include "serving/http/request_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>

namespace llm::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

constexpr size_t kMaxChunkHeaderBytes = 4096;  // of a chunk's size line or of the trailers

std::string text_of(string_view view) { return {view.data(), view.size()}; }

/// A header line that goes on in the next line, a bare line feed or carriage return, or a control
/// character.
bool has_bad_line(std::string_view header) {
  for (size_t i = 0; i < header.size(); ++i) {
    const char c = header[i];
    if (c == '\r') {
      if (i + 1 >= header.size() || header[i + 1] != '\n') return true;
      if (i + 2 < header.size() && (header[i + 2] == ' ' || header[i + 2] == '\t')) return true;
      ++i;
    } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) {
      return true;
    }
  }
  return false;
}

size_t count_headers(const Headers& headers, std::string_view name) {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(), [&](const auto& header) {
    return same_ignoring_case(header.first, name);
  }));
}

}  // namespace

class RequestReader::Parser : public beast_http::basic_parser<true> {
 public:
  Parser(size_t max_header_bytes, size_t max_body_bytes) {
    header_limit(static_cast<std::uint32_t>(max_header_bytes));
    body_limit(max_body_bytes);
    eager(true);
  }
  Request request;
  std::string target;
  bool header_done = false;
  bool http11 = false;

 private:
  void on_request_impl(beast_http::verb, string_view method, string_view target_text, int version,
                       error_code&) override {
    http11 = version >= 11;
    request.method = text_of(method);
    target = text_of(target_text);
  }
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(beast_http::field, string_view name, string_view value, error_code&) override {
    if (!header_done) request.headers.emplace_back(text_of(name), text_of(value));
  }
  void on_header_impl(error_code&) override { header_done = true; }
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code&) override {
    if (length) request.body.reserve(static_cast<size_t>(*length));  // pages come as bytes do
  }
  std::size_t on_body_impl(string_view bytes, error_code&) override {
    request.body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view bytes, error_code&) override {
    request.body.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}
};

RequestReader::RequestReader(size_t max_header_bytes, size_t max_body_bytes)
    : max_header_bytes_(max_header_bytes), max_body_bytes_(max_body_bytes) {
  parser_ = std::make_unique<Parser>(max_header_bytes_, max_body_bytes_);
}
RequestReader::~RequestReader() = default;

const Request& RequestReader::request() const { return parser_->request; }

void RequestReader::refuse(int status, std::string code, std::string message) {
  state_ = State::refused;
  refusal_ = {status, std::move(code), std::move(message)};
  parser_->request.body = {};
}

size_t RequestReader::feed(std::string_view bytes) {
  if (state_ == State::complete || state_ == State::refused || bytes.empty()) return 0;
  return state_ == State::body ? feed_body(bytes) : gather_header(bytes);
}

/// A chunk header may be cut anywhere: what the parser leaves of it is short, and is offered again
/// with what comes after it.
size_t RequestReader::feed_body(std::string_view bytes) {
  if (rest_.empty()) {
    const size_t used = parse_body(bytes);
    if (state_ != State::body) return used;
    rest_ = bytes.substr(used);
    return bytes.size();
  }
  const size_t before = rest_.size();
  rest_.append(bytes.substr(0, kMaxChunkHeaderBytes));
  const size_t offered = rest_.size() - before;
  rest_.erase(0, parse_body(rest_));
  if (state_ != State::complete) return offered;
  const size_t left = rest_.size();  // belongs to the next request
  rest_.clear();
  return offered - left;
}

size_t RequestReader::parse_body(std::string_view bytes) {
  error_code error;
  const size_t used = parser_->put({bytes.data(), bytes.size()}, error);
  if (error == beast_http::error::need_more) {
    if (bytes.size() - used >= kMaxChunkHeaderBytes) {
      refuse(400, "bad_request", "a chunk header is too long");
    }
  } else if (error == beast_http::error::body_limit) {
    refuse(413, "body_too_large", fmt::format("limit is {} bytes", max_body_bytes_));
  } else if (error) {
    refuse(400, "bad_request", fmt::format("bad request body: {}", error.message()));
  } else if (parser_->is_done()) {
    state_ = State::complete;
  }
  return used;
}

size_t RequestReader::gather_header(std::string_view bytes) {
  size_t skipped = 0;
  if (header_.empty()) {  // an empty line before a request is allowed (RFC 9112, 2.2)
    while (skipped < bytes.size() && (bytes[skipped] == '\r' || bytes[skipped] == '\n')) ++skipped;
    bytes.remove_prefix(skipped);
    if (bytes.empty()) return skipped;
  }
  state_ = State::header;
  const size_t before = header_.size();
  const size_t room = max_header_bytes_ - before;
  header_.append(bytes.substr(0, room));
  const size_t end = header_.find("\r\n\r\n", before < 3 ? 0 : before - 3);
  if (end != std::string::npos) {
    const size_t used = end + 4 - before;
    header_.resize(end + 4);
    parse_header();
    return skipped + used;
  }
  if (has_bad_line(
          std::string_view(header_).substr(0, header_.size() - (header_.back() == '\r')))) {
    refuse(400, "bad_request", "bad line in the request header");
  } else if (header_.size() >= max_header_bytes_) {
    refuse(431, "headers_too_large",
           fmt::format("the request header is larger than {} bytes", max_header_bytes_));
  }
  return skipped + std::min(bytes.size(), room);
}

void RequestReader::parse_header() {
  if (has_bad_line(header_)) {
    return refuse(400, "bad_request", "bad line in the request header");
  }
  error_code error;
  parser_->put({header_.data(), header_.size()}, error);
  if (error == beast_http::error::need_more) error = {};
  if (error == beast_http::error::bad_version &&
      header_.substr(0, header_.find('\r')).find(" HTTP/") != std::string::npos) {
    return refuse(505, "bad_version", "only HTTP/1.0 and HTTP/1.1 are spoken here");
  }
  if (error == beast_http::error::body_limit) {
    return refuse(413, "body_too_large", fmt::format("limit is {} bytes", max_body_bytes_));
  }
  if (error || !parser_->is_header_done()) {
    return refuse(400, "bad_request",
                  fmt::format("bad request header: {}", error ? error.message() : "incomplete"));
  }
  header_ = {};  // idle connections hold nothing
  read_header_fields();
}

void RequestReader::read_header_fields() {
  Request& request = parser_->request;
  http11_ = parser_->http11;
  keep_alive_ = parser_->keep_alive();
  for (const std::string_view name :
       {"Host", "Content-Length", "Transfer-Encoding", "Authorization", "Content-Type"}) {
    if (count_headers(request.headers, name) > 1) {
      return refuse(400, "bad_request", fmt::format("the header {} is given twice", name));
    }
  }
  if (http11_ && count_headers(request.headers, "Host") == 0) {
    return refuse(400, "bad_request", "the Host header is missing");
  }
  const std::string_view coding = request.header("Transfer-Encoding");
  if (count_headers(request.headers, "Transfer-Encoding") > 0 &&
      (!same_ignoring_case(coding, "chunked") || !http11_)) {
    return refuse(400, "bad_request", "Transfer-Encoding must be chunked");
  }
  const std::string_view expect = request.header("Expect");
  if (!expect.empty() && !same_ignoring_case(expect, "100-continue")) {
    return refuse(417, "bad_request", "only Expect: 100-continue is understood");
  }
  if (!parse_target(parser_->target, request)) {
    return refuse(400, "bad_request", "the request target is not a path");
  }
  expects_continue_ = !expect.empty() && http11_ && !parser_->is_done();
  state_ = parser_->is_done() ? State::complete : State::body;
}

Request RequestReader::take() {
  Request request = std::move(parser_->request);
  parser_ = std::make_unique<Parser>(max_header_bytes_, max_body_bytes_);
  rest_ = {};
  state_ = State::fresh;
  expects_continue_ = false;
  return request;
}

}  // namespace llm::http
