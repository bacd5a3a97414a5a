#include "serving/http/chunk_decoder.h"

#include <algorithm>
#include <charconv>

namespace llm::http {
namespace {

constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kMaxTrailerBytes = 8192;
constexpr size_t kMaxSizeDigits = 16;

bool is_text(char c) { return (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) || c == '\t'; }

/// Room for `size` bytes. A body that is not small gets all that may come at once: the pages come
/// with the bytes, and growing would hold it twice.
void grow(std::string& body, size_t size, size_t most) {
  constexpr size_t kSmall = 64 << 10, kAtOnce = 64 << 20;
  if (size <= body.capacity()) return;
  const size_t doubled = std::max(size, 2 * body.capacity());
  body.reserve(size > kSmall && most <= kAtOnce ? most : std::min(doubled, most));
}

bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

}  // namespace

size_t ChunkDecoder::feed(std::string_view bytes, std::string& body) {
  const size_t given = bytes.size();
  while (state_ == State::more && !bytes.empty()) {
    if (part_ == Part::bytes) {
      const size_t count = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
      grow(body, body.size() + count, body.size() + left_ + room_);
      body.append(bytes.substr(0, count));
      bytes.remove_prefix(count);
      left_ -= count;
      if (left_ == 0) part_ = Part::bytes_end;
      continue;
    }
    bytes.remove_prefix(take_line(bytes));
    if (!line_ended_ || state_ != State::more) continue;
    if (part_ == Part::size_line) {
      end_size_line();
    } else if (part_ == Part::bytes_end) {
      part_ = Part::size_line;
      if (!line_.empty()) state_ = State::bad;
    } else {
      end_trailer_line();
    }
    line_.clear();
    line_ended_ = false;
  }
  return given - bytes.size();
}

/// Gathers up to the CRLF; anything but text before it is refused at once.
size_t ChunkDecoder::take_line(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char c = bytes[i];
    if (!line_.empty() && line_.back() == '\r') {
      if (c != '\n') break;
      line_.pop_back();
      line_ended_ = true;
      return i + 1;
    }
    if ((!is_text(c) && c != '\r') || line_.size() >= kMaxLineBytes ||
        (part_ == Part::bytes_end && c != '\r')) {
      break;
    }
    line_ += c;
    if (i + 1 == bytes.size()) return bytes.size();
  }
  state_ = State::bad;
  return bytes.size();
}

void ChunkDecoder::end_size_line() {
  const size_t digits = std::min(line_.find_first_not_of("0123456789abcdefABCDEF"), line_.size());
  uint64_t size = 0;
  const auto read = std::from_chars(line_.data(), line_.data() + digits, size, 16);
  const std::string_view rest = std::string_view(line_).substr(digits);
  if (digits == 0 || digits > kMaxSizeDigits || read.ec != std::errc() ||
      (!rest.empty() && rest.front() != ';')) {
    state_ = State::bad;
  } else if (!rest.empty() && !is_token(rest.substr(1, rest.find_first_of("=;", 1) - 1))) {
    state_ = State::bad;  // an extension has a name
  } else if (size > room_) {
    state_ = State::too_large;
  } else {
    room_ -= static_cast<size_t>(size);
    left_ = size;
    part_ = size > 0 ? Part::bytes : Part::trailer_line;
  }
}

void ChunkDecoder::end_trailer_line() {
  trailer_bytes_ += line_.size() + 2;
  if (line_.empty()) {
    state_ = State::done;
  } else if (!is_token(std::string_view(line_).substr(0, line_.find(':'))) ||
             line_.find(':') == std::string::npos || trailer_bytes_ > kMaxTrailerBytes) {
    state_ = State::bad;
  }
}

}  // namespace llm::http
