// Bytes of a connection -> one request, a piece at a time, within limits that hold before anything
// is stored.
//
// The header is gathered up to its empty line, checked as a whole and read by Boost.Beast's parser;
// bodies are read by length or by ChunkDecoder. (Beast 1.74's own decoder asserts on a last chunk
// that comes byte by byte.) Everything that two programs could read differently is
// refused with 400 (request smuggling: RFC 9112, 6.3 and 11.2): Content-Length with
// Transfer-Encoding, two Content-Lengths, any coding but "chunked", folded header lines, bare line
// feeds, bad chunk sizes, a doubled Host or Authorization. Trailers are read and dropped. No
// sockets, no clock: the connection decides when to stop waiting. Not thread-safe. Memory: at most
// max_header_bytes and max_body_bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "serving/http/chunk_decoder.h"
#include "serving/http/request.h"

namespace llm::http {

class RequestReader {
 public:
  enum class State {
    fresh,     // no byte of this request has come
    header,    // inside the header
    body,      // the header is complete, the body is not
    complete,  // take() the request
    refused,   // see refusal(); nothing more is read
  };
  struct Refusal {
    int status = 400;
    std::string code, message;
  };

  RequestReader(size_t max_header_bytes, size_t max_body_bytes);

  /// Uses bytes from the front and says how many; stops at the end of the header and at the end of
  /// the request, so call it again while bytes are left and the state is header or body.
  size_t feed(std::string_view bytes);

  State state() const { return state_; }
  const Refusal& refusal() const { return refusal_; }
  bool expects_continue() const { return expects_continue_; }  // wants "100 Continue" before a body
  bool keep_alive() const { return keep_alive_; }
  bool http11() const { return http11_; }
  /// The request as far as it is known: after a refusal, what the access log may name.
  const Request& request() const { return request_; }

  /// The complete request; the reader is fresh again.
  Request take();

 private:
  class HeaderParser;
  size_t gather_header(std::string_view bytes);
  void parse_header();
  void read_header_fields();
  size_t feed_body(std::string_view bytes);
  void refuse(int status, std::string code, std::string message);
  void refuse_size();

  const size_t max_header_bytes_, max_body_bytes_;
  Request request_;
  std::string header_;
  size_t checked_ = 0;  // bytes of it that hold no bad line
  bool chunked_ = false;
  size_t body_bytes_ = 0;  // declared
  ChunkDecoder chunks_;
  State state_ = State::fresh;
  Refusal refusal_;
  bool expects_continue_ = false;
  bool keep_alive_ = false;
  bool http11_ = true;
};

}  // namespace llm::http
