#include "data/text_reader.h"

#include <utility>

#include "base/error.h"
#include "base/utf8.h"
#include "data/byte_source.h"
#include "data/json_row.h"
#include "data/record_cutter.h"

namespace llm {
namespace {

template <typename Value, size_t N>
Value named_value(std::string_view what, std::string_view name,
                  const std::pair<std::string_view, Value> (&table)[N]) {
  std::string known;
  for (const auto& [text, value] : table) {
    if (text == name) {
      return value;
    }
    known += (known.empty() ? "" : ", ") + std::string(text);
  }
  fail(Exit::usage, fmt::format("{}: '{}' is not known; choose {}", what, name, known));
}

[[noreturn]] void report_invalid_utf8(const RawRecord& record, size_t offset,
                                      const std::string& hint) {
  bool utf16 = record.source_byte == 0 && offset == 0 &&
               (record.bytes.starts_with("\xFF\xFE") || record.bytes.starts_with("\xFE\xFF"));
  fail(Exit::bad_input,
       fmt::format("{}: invalid UTF-8 at byte {}", *record.source,
                   record.source_byte + static_cast<int64_t>(offset)),
       utf16 ? "this looks like UTF-16: iconv -f UTF-16 -t UTF-8 FILE" : hint);
}

}  // namespace

TextFormat parse_text_format(std::string_view name) {
  static constexpr std::pair<std::string_view, TextFormat> kTable[] = {
      {"auto", TextFormat::automatic},    {"text", TextFormat::text},
      {"jsonl", TextFormat::jsonl},       {"alpaca", TextFormat::alpaca},
      {"sharegpt", TextFormat::sharegpt}, {"messages", TextFormat::messages},
      {"lmsys", TextFormat::lmsys}};
  return named_value("format", name, kTable);
}

TextSplit parse_text_split(std::string_view name) {
  static constexpr std::pair<std::string_view, TextSplit> kTable[] = {
      {"line", TextSplit::line},
      {"document", TextSplit::document},
      {"blank-line", TextSplit::blank_line}};
  return named_value("split", name, kTable);
}

std::optional<bool> rows_by_name(std::string_view name) {
  if (name.ends_with(".zst")) {
    name.remove_suffix(4);
  }
  if (name.ends_with(".jsonl") || name.ends_with(".ndjson") || name.ends_with(".json")) {
    return true;
  }
  return name.ends_with(".txt") ? std::optional<bool>(false) : std::nullopt;
}

std::string place_of(const RawRecord& record) {
  return record.in_array ? fmt::format("{}: element {}", *record.source, record.line)
                         : fmt::format("{}:{}", *record.source, record.line);
}

std::string record_text(RawRecord&& record, const TextReaderOptions& options) {
  if (record.is_row) {
    return plain_text(parse_json_row(record.bytes, place_of(record), options));
  }
  if (!options.allow_invalid_utf8) {
    if (auto offset = utf8::first_invalid(record.bytes)) {
      report_invalid_utf8(record, *offset, options.invalid_utf8_hint);
    }
  }
  return std::move(record.bytes);
}

/// The files in turn; one is open at a time.
class TextReader::Files {
 public:
  Files(std::vector<std::string> paths, const TextReaderOptions& options)
      : paths_(std::move(paths)), options_(options) {
    check(!paths_.empty(), "no input file given");
    int standard_inputs = 0;
    for (const std::string& path : paths_) {
      standard_inputs += path == "-" ? 1 : 0;
      if (path != "-") {
        ByteSource probe(path);
      }
    }
    check(standard_inputs <= 1, "standard input (-) is given {} times; it can be read once",
          standard_inputs);
  }

  bool next(RawRecord& record) {
    while (true) {
      if (!cutter_) {
        if (index_ == paths_.size()) {
          return false;
        }
        source_ = std::make_unique<ByteSource>(paths_[index_]);
        cutter_ = std::make_unique<RecordCutter>(*source_, options_);
        paths_[index_] = source_->name();
      }
      if (cutter_->next(record)) {
        record.source = &paths_[index_];
        record.begin_byte = finished_bytes_ + record.source_byte;
        return true;
      }
      finished_bytes_ += cutter_->bytes_consumed();
      cutter_.reset();
      source_.reset();
      index_ += 1;
    }
  }

  int64_t bytes_read() const { return finished_bytes_ + (cutter_ ? cutter_->bytes_consumed() : 0); }

 private:
  std::vector<std::string> paths_;
  TextReaderOptions options_;
  size_t index_ = 0;
  int64_t finished_bytes_ = 0;
  std::unique_ptr<ByteSource> source_;
  std::unique_ptr<RecordCutter> cutter_;
};

TextReader::TextReader(std::vector<std::string> paths, TextReaderOptions options)
    : options_(options), files_(std::make_unique<Files>(std::move(paths), options)) {}

TextReader::~TextReader() = default;

bool TextReader::next_record(RawRecord& record) { return files_->next(record); }

bool TextReader::next(Document& document) {
  while (files_->next(record_)) {
    document.begins = record_.begins;
    document.ends = record_.ends;
    try {
      document.text = record_text(std::move(record_), options_);
      return true;
    } catch (const Error& error) {
      if (!options_.skip_bad || !record_.is_row) {
        throw;
      }
      first_bad_ = skipped_ == 0 ? error.message() : first_bad_;
      skipped_ += 1;
    }
  }
  return false;
}

int64_t TextReader::bytes_read() const { return files_->bytes_read(); }

int64_t count_text_bytes(const std::vector<std::string>& paths) {
  int64_t total = 0;
  std::vector<char> buffer(size_t{1} << 20);
  for (const std::string& path : paths) {
    check(path != "-",
          "the size of standard input is not known before it is read; use another validation split "
          "or a file");
    ByteSource source(path);
    if (!source.compressed()) {
      total += source.stored_bytes();
      continue;
    }
    while (size_t got = source.read(buffer.data(), buffer.size())) {
      total += static_cast<int64_t>(got);
    }
  }
  return total;
}

}  // namespace llm
