// Undoes "Transfer-Encoding: chunked" (RFC 9112, 7.1), strictly and a piece at a time.
//
// A size is 1 to 16 hex digits; chunk extensions and trailers are read and dropped; every line ends
// with CRLF and is bounded, as are all trailers together. The declared size counts against the
// limit before a byte of the chunk is taken. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace llm::http {

class ChunkDecoder {
 public:
  enum class State { more, done, bad, too_large };

  explicit ChunkDecoder(size_t max_body_bytes = 0) : room_(max_body_bytes) {}

  /// Uses bytes from the front, appends what they carry to `body`, and says how many it used: all,
  /// unless the body ended or was refused among them.
  size_t feed(std::string_view bytes, std::string& body);
  State state() const { return state_; }

 private:
  enum class Part { size_line, bytes, bytes_end, trailer_line };
  size_t take_line(std::string_view bytes);
  void end_size_line();
  void end_trailer_line();

  State state_ = State::more;
  Part part_ = Part::size_line;
  std::string line_;  // gathered so far, without its CRLF once that has come
  bool line_ended_ = false;
  size_t room_;        // bytes that the body may still have
  uint64_t left_ = 0;  // of the chunk
  size_t trailer_bytes_ = 0;
};

}  // namespace llm::http
