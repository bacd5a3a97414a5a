#include "data/record_cutter.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/utf8.h"

namespace llm {
namespace {

constexpr size_t kReadBytes = size_t{256} << 10;
constexpr std::string_view kSpace = " \t\r\n";

/// Where to cut a text that has no line break: before a character that would be torn.
size_t whole_characters(std::string_view text) {
  size_t torn = utf8::incomplete_suffix_length(text);
  return torn < text.size() ? text.size() - torn : text.size();
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(kSpace) == std::string_view::npos;
}

std::string_view without_carriage_return(std::string_view line) {
  return !line.empty() && line.back() == '\r' ? line.substr(0, line.size() - 1) : line;
}

}  // namespace

RecordCutter::RecordCutter(ByteSource& source, const TextReaderOptions& options)
    : source_(source),
      piece_bytes_(static_cast<size_t>(std::max<int64_t>(options.piece_bytes, 16))) {
  fill(3);
  if (ahead().starts_with("\xEF\xBB\xBF")) {
    skip(3);
  }
  shape_ = choose_shape(options);
}

RecordCutter::Shape RecordCutter::choose_shape(const TextReaderOptions& options) {
  bool rows = options.format != TextFormat::text;
  if (options.format == TextFormat::automatic) {
    if (const std::optional<bool> named = rows_by_name(source_.name())) {
      rows = *named;
    } else {
      fill(kReadBytes);
      std::string_view line = ahead().substr(0, ahead().find('\n'));
      line = line.substr(0, line.find_last_not_of(kSpace) + 1);
      rows = line.starts_with("{\"") && line.ends_with('}');
    }
  }
  if (!rows) {
    return options.split == TextSplit::line         ? Shape::lines
           : options.split == TextSplit::blank_line ? Shape::blocks
                                                    : Shape::whole;
  }
  fill(kReadBytes);
  size_t first = ahead().find_first_not_of(kSpace);
  return first != std::string_view::npos && ahead()[first] == '[' ? Shape::elements : Shape::rows;
}

bool RecordCutter::fill(size_t wanted) {
  while (!at_end_ && buffer_.size() - position_ < wanted) {
    if (position_ > 0) {
      buffer_.erase(0, position_);
      position_ = 0;
    }
    size_t old_size = buffer_.size();
    buffer_.resize(old_size + kReadBytes);
    size_t got = source_.read(buffer_.data() + old_size, kReadBytes);
    buffer_.resize(old_size + got);
    at_end_ = got == 0;
  }
  return buffer_.size() - position_ >= wanted;
}

void RecordCutter::skip(size_t count) {
  position_ += count;
  consumed_ += static_cast<int64_t>(count);
}

void RecordCutter::take(RawRecord& record, size_t count) {
  record.source_byte = consumed_;
  record.bytes.assign(buffer_, position_, count);
  skip(count);
}

/// Length of the line ahead without its '\n', or npos if `limit` bytes hold none and more follow;
/// at the end of the source the rest is a line.
size_t RecordCutter::find_newline(size_t limit) {
  size_t searched = 0;
  while (true) {
    size_t found = ahead().find('\n', searched);
    if (found != std::string_view::npos) {
      return found;
    }
    searched = ahead().size();
    if (searched >= limit) {
      return std::string_view::npos;
    }
    if (!fill(std::min(limit, searched + kReadBytes)) && at_end_) {
      size_t rest = ahead().find('\n', searched);
      return rest != std::string_view::npos ? rest : ahead().size();
    }
  }
}

bool RecordCutter::next(RawRecord& record) {
  record.is_row = shape_ == Shape::rows || shape_ == Shape::elements;
  record.in_array = shape_ == Shape::elements;
  record.begins = !inside_;
  record.ends = true;
  switch (shape_) {
    case Shape::lines:
      return next_line(record);
    case Shape::blocks:
      return next_block(record);
    case Shape::whole:
      return next_whole(record);
    case Shape::rows:
      return next_row(record);
    case Shape::elements:
      return next_element(record);
  }
  return false;
}

bool RecordCutter::next_line(RawRecord& record) {
  while (fill(1)) {
    size_t length = find_newline(piece_bytes_ + 2);
    if (length == std::string_view::npos || length >= piece_bytes_ + 2) {
      take(record, whole_characters(ahead().substr(0, piece_bytes_)));
      record.ends = false;
      inside_ = true;
      return true;
    }
    std::string_view line = ahead().substr(0, length);
    bool had_newline = ahead().size() > length;
    line_ += 1;
    if (!inside_ && is_blank(line)) {
      skip(length + (had_newline ? 1 : 0));
      continue;
    }
    size_t kept = without_carriage_return(line).size();
    take(record, kept);
    skip(length - kept + (had_newline ? 1 : 0));
    record.line = line_;
    inside_ = false;
    return true;
  }
  return false;
}

/// Length of the blank line ahead, its '\n' included; 0 if the line ahead is not blank. Blank lines
/// longer than a piece count as text.
size_t RecordCutter::blank_line_length() {
  size_t length = find_newline(piece_bytes_);
  if (length == std::string_view::npos || !is_blank(ahead().substr(0, length))) {
    return 0;
  }
  return length + (ahead().size() > length ? 1 : 0);
}

/// A block is lines up to a blank one. A piece stops before a line break, so that the break between
/// two pieces belongs to the second.
bool RecordCutter::next_block(RawRecord& record) {
  if (!inside_) {
    for (size_t blank; fill(1) && (blank = blank_line_length()) > 0;) {
      skip(blank);
    }
  }
  if (!fill(1)) {
    return false;
  }
  fill(piece_bytes_ + 2);
  std::string_view text = ahead();
  size_t limit = std::min(text.size(), piece_bytes_);
  size_t line_start = inside_ && text.front() == '\n' ? 1 : 0;
  size_t cut = std::string_view::npos;  // the last line break inside the limit
  while (true) {
    size_t newline = text.find('\n', line_start);
    bool last_line = newline == std::string_view::npos;
    size_t line_end = last_line ? text.size() : newline;
    bool blank = line_start > 0 && is_blank(text.substr(line_start, line_end - line_start));
    if (blank && line_end <= limit + 1) {  // the block ends before the break in front of this line
      size_t kept = without_carriage_return(text.substr(0, line_start - 1)).size();
      take(record, kept);
      skip(line_start - kept);
      inside_ = false;
      return true;
    }
    if (last_line && at_end_ && text.size() <= limit) {
      take(record, without_carriage_return(text).size());
      skip(ahead().size());
      inside_ = false;
      return true;
    }
    if (last_line || line_end > limit) {
      break;
    }
    cut = newline;
    line_start = newline + 1;
  }
  bool torn_line = cut == std::string_view::npos || cut == 0;
  take(record, torn_line ? whole_characters(text.substr(0, limit)) : cut);
  record.ends = false;
  inside_ = true;
  return true;
}

bool RecordCutter::next_whole(RawRecord& record) {
  if (!fill(1)) {
    return false;
  }
  bool more = fill(piece_bytes_ + 1);
  std::string_view text = ahead().substr(0, piece_bytes_);
  if (!more) {
    take(record, text.size());
    inside_ = false;
    return true;
  }
  size_t newline = text.rfind('\n');
  take(record, newline == std::string_view::npos ? whole_characters(text) : newline + 1);
  record.ends = false;
  inside_ = true;
  return true;
}

bool RecordCutter::next_row(RawRecord& record) {
  while (fill(1)) {
    line_ += 1;
    size_t length = find_newline(static_cast<size_t>(kMaxRowBytes));
    check_input(length != std::string_view::npos, "{}:{}: the line is longer than {} MiB",
                source_.name(), line_, kMaxRowBytes >> 20);
    size_t whole = length + (ahead().size() > length ? 1 : 0);
    if (is_blank(ahead().substr(0, length))) {
      skip(whole);
      continue;
    }
    take(record, length);
    skip(whole - length);
    record.line = line_;
    return true;
  }
  return false;
}

/// Finds the end of an element by counting brackets outside strings; whether it is valid JSON is
/// for the parser to say.
bool RecordCutter::next_element(RawRecord& record) {
  std::string_view separators = array_open_ ? " \t\r\n," : " \t\r\n[";
  while (fill(1) && separators.find(ahead().front()) != std::string_view::npos) {
    bool opened = ahead().front() == '[';
    skip(1);
    if (opened) {
      array_open_ = true;
      separators = " \t\r\n,";
    }
  }
  check_input(fill(1), "{}: truncated: the JSON array is not closed after element {}",
              source_.name(), line_);
  if (ahead().front() == ']') {
    skip(1);
    while (fill(1) && kSpace.find(ahead().front()) != std::string_view::npos) {
      skip(1);
    }
    check_input(!fill(1), "{}: unexpected text after the JSON array at byte {}", source_.name(),
                consumed_);
    return false;
  }
  line_ += 1;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0;; ++i) {
    check_input(i < static_cast<size_t>(kMaxRowBytes), "{}: element {} is longer than {} MiB",
                source_.name(), line_, kMaxRowBytes >> 20);
    check_input(i < ahead().size() || fill(i + 1), "{}: truncated: the file ends inside element {}",
                source_.name(), line_);
    char c = ahead()[i];
    bool element_over = !in_string && depth == 0 && (c == ',' || c == ']');
    if (element_over) {
      take(record, i);
      record.line = line_;
      return true;
    }
    if (in_string) {
      i += c == '\\' ? 1 : 0;
      in_string = c != '"';
    } else {
      in_string = c == '"';
      depth += (c == '{' || c == '[') ? 1 : (c == '}' || c == ']') ? -1 : 0;
    }
  }
}

}  // namespace llm
