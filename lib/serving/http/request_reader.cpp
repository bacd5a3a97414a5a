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

std::string text_of(string_view view) { return {view.data(), view.size()}; }

/// A header line that goes on in the next line, a bare line feed or carriage return, or a control
/// character. Looks from `checked` on, and moves it to where the next look begins.
bool has_bad_line(std::string_view header, size_t& checked) {
  for (size_t i = checked; i < header.size(); ++i) {
    const char c = header[i];
    checked = i;
    if (c == '\r') {
      if (i + 1 < header.size() && header[i + 1] != '\n') return true;
      if (i + 2 >= header.size()) return false;  // what follows has not come yet
      if (header[i + 2] == ' ' || header[i + 2] == '\t') return true;
      ++i;
    } else if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) {
      return true;
    }
  }
  checked = header.size();
  return false;
}

/// "GET /x HTTP/2.0", not "GET /a b HTTP/1.1".
bool names_another_version(std::string_view header) {
  const std::string_view line = header.substr(0, header.find('\r'));
  return std::count(line.begin(), line.end(), ' ') == 2 &&
         line.substr(line.rfind(' ')).starts_with(" HTTP/");
}

size_t count_headers(const Headers& headers, std::string_view name) {
  return static_cast<size_t>(std::count_if(headers.begin(), headers.end(), [&](const auto& header) {
    return same_ignoring_case(header.first, name);
  }));
}

}  // namespace

/// Of the header only: bodies are read here, strictly.
class RequestReader::HeaderParser : public beast_http::basic_parser<true> {
 public:
  explicit HeaderParser(Request& request) : request_(request) { skip(true); }
  std::string target;
  bool http11 = false;

 private:
  void on_request_impl(beast_http::verb, string_view method, string_view target_text, int version,
                       error_code&) override {
    http11 = version >= 11;
    request_.method = text_of(method);
    target = text_of(target_text);
  }
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(beast_http::field, string_view name, string_view value, error_code&) override {
    request_.headers.emplace_back(text_of(name), text_of(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(string_view, error_code&) override { return 0; }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view, error_code&) override { return 0; }
  void on_finish_impl(error_code&) override {}

  Request& request_;
};

RequestReader::RequestReader(size_t max_header_bytes, size_t max_body_bytes)
    : max_header_bytes_(max_header_bytes), max_body_bytes_(max_body_bytes) {}

void RequestReader::refuse(int status, std::string code, std::string message) {
  state_ = State::refused;
  refusal_ = {status, std::move(code), std::move(message)};
  release(request_.body);
}

void RequestReader::refuse_size() {
  refuse(413, "body_too_large", fmt::format("limit is {} bytes", max_body_bytes_));
}

size_t RequestReader::feed(std::string_view bytes) {
  if (state_ == State::complete || state_ == State::refused || bytes.empty()) return 0;
  return state_ == State::body ? feed_body(bytes) : gather_header(bytes);
}

size_t RequestReader::feed_body(std::string_view bytes) {
  if (!chunked_) {
    const size_t used = std::min(body_bytes_ - request_.body.size(), bytes.size());
    request_.body.append(bytes.substr(0, used));
    if (request_.body.size() == body_bytes_) state_ = State::complete;
    return used;
  }
  const size_t used = chunks_.feed(bytes, request_.body);
  switch (chunks_.state()) {
    case ChunkDecoder::State::more:
      break;
    case ChunkDecoder::State::done:
      state_ = State::complete;
      break;
    case ChunkDecoder::State::bad:
      refuse(400, "bad_request", "bad chunk in the request body");
      break;
    case ChunkDecoder::State::too_large:
      refuse_size();
      break;
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
  if (has_bad_line(header_, checked_)) {
    refuse(400, "bad_request", "bad line in the request header");
  } else if (header_.size() >= max_header_bytes_) {
    refuse(431, "headers_too_large",
           fmt::format("the request header is larger than {} bytes", max_header_bytes_));
  }
  return skipped + std::min(bytes.size(), room);
}

void RequestReader::parse_header() {
  if (has_bad_line(header_, checked_)) {
    return refuse(400, "bad_request", "bad line in the request header");
  }
  HeaderParser parser(request_);
  parser.header_limit(static_cast<std::uint32_t>(max_header_bytes_));  // Beast's own is lower
  error_code error;
  parser.put({header_.data(), header_.size()}, error);
  if (error == beast_http::error::bad_version && names_another_version(header_)) {
    return refuse(505, "bad_version", "only HTTP/1.0 and HTTP/1.1 are spoken here");
  }
  if (error || !parser.is_header_done()) {
    return refuse(400, "bad_request",
                  fmt::format("bad request header: {}", error ? error.message() : "incomplete"));
  }
  checked_ = 0;
  release(header_);  // idle connections hold nothing
  http11_ = parser.http11;
  keep_alive_ = parser.keep_alive();
  if (!parse_target(parser.target, request_)) {
    return refuse(400, "bad_request", "the request target is not a path");
  }
  read_header_fields();
  if (state_ == State::refused) return;
  const auto length = parser.content_length();
  if (length && *length > max_body_bytes_) return refuse_size();
  body_bytes_ = length ? static_cast<size_t>(*length) : 0;
  chunks_ = ChunkDecoder(max_body_bytes_);
  state_ = chunked_ || body_bytes_ > 0 ? State::body : State::complete;
  expects_continue_ = expects_continue_ && state_ == State::body;
  request_.body.reserve(body_bytes_);  // pages come as bytes do
}

void RequestReader::read_header_fields() {
  for (const std::string_view name :
       {"Host", "Content-Length", "Transfer-Encoding", "Authorization", "Content-Type"}) {
    if (count_headers(request_.headers, name) > 1) {
      return refuse(400, "bad_request", fmt::format("the header {} is given twice", name));
    }
  }
  const std::string_view length = request_.header("Content-Length");
  if (length.find_first_not_of("0123456789") != std::string_view::npos) {  // "3, 3"
    return refuse(400, "bad_request", "Content-Length must be one number");
  }
  if (http11_ && count_headers(request_.headers, "Host") == 0) {
    return refuse(400, "bad_request", "the Host header is missing");
  }
  chunked_ = count_headers(request_.headers, "Transfer-Encoding") > 0;
  const std::string_view coding = request_.header("Transfer-Encoding");
  if (chunked_ && (!same_ignoring_case(coding, "chunked") || !http11_)) {
    return refuse(400, "bad_request", "Transfer-Encoding must be chunked");
  }
  const std::string_view expect = request_.header("Expect");
  if (!expect.empty() && !same_ignoring_case(expect, "100-continue")) {
    return refuse(417, "bad_request", "only Expect: 100-continue is understood");
  }
  expects_continue_ = !expect.empty() && http11_;
}

Request RequestReader::take() {
  state_ = State::fresh;
  return std::exchange(request_, {});
}

}  // namespace llm::http
