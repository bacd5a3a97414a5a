// Documents out of text files: plain text, JSON Lines, JSON arrays, any of them inside zstd, and
// standard input ("-").
//
// A `Document` is a piece of one document. Documents longer than `piece_bytes` arrive as several
// consecutive pieces, cut at a line break where there is one (else between two UTF-8 characters):
// `begins` and `ends` mark the first and the last, and the pieces joined are the document. Memory
// therefore stays flat for input of any size. JSON rows are capped at kMaxRowBytes instead, because
// a row must be parsed whole. Cuts do not depend on how the input arrives.
//
// Text: `split` says what a document is: a line (without its line break; empty lines are skipped),
// a block between blank lines, or the whole file. A UTF-8 byte order mark is dropped. Text must be
// valid UTF-8 unless `allow_invalid_utf8`. JSON rows, one per line or the elements of one top-level
// array: {text}, {content}, {prompt, response|completion}, {instruction, [input], output} (alpaca),
// {conversations: [{from, value}]} (sharegpt), {messages: [{role, content}]}, {conversation:
// [{role, content}]} (lmsys); "auto" takes the first of these that the row has. Chat rows are
// rendered to plain text, one "role: content" line per message. A file is JSON if its name says so
// (.jsonl .ndjson .json, before .zst) or, without a known suffix, if its first character is '{' and
// the first line ends in '}'.
//
// Errors (exit 3) are worded as in docs/reliability.md: `a.jsonl:1042: invalid JSON at column 17`,
// `a.txt: invalid UTF-8 at byte 40213`, ... One reader belongs to one thread. parse_row is a pure
// function and safe from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

inline constexpr int64_t kMaxRowBytes = int64_t{64} << 20;

enum class TextFormat { automatic, text, jsonl, alpaca, sharegpt, messages, lmsys };
enum class TextSplit { line, document, blank_line };

/// "auto" "text" "jsonl" "alpaca" "sharegpt" "messages" "lmsys"; exit 2 otherwise.
TextFormat parse_text_format(std::string_view name);
/// "line" "document" "blank-line"; exit 2 otherwise.
TextSplit parse_text_split(std::string_view name);

/// Whether a file of this name holds rows of JSON (.jsonl .ndjson .json, before .zst) or plain text
/// (.txt); nothing where its first line decides.
std::optional<bool> rows_by_name(std::string_view name);

struct TextReaderOptions {
  TextFormat format = TextFormat::automatic;
  TextSplit split = TextSplit::line;
  std::string field = {};           // JSON: take the text of this field, whatever the format
  bool skip_bad = false;            // leave out bad JSON rows and count them
  bool allow_invalid_utf8 = false;  // plain text: take bytes as they are
  std::string invalid_utf8_hint = "--allow-invalid-utf8 takes the bytes as they are";
  int64_t piece_bytes = int64_t{256} << 10;
};

/// What the reader cuts out of a file before any JSON is parsed: a row (is_row) or a piece of a
/// plain document.
struct RawRecord {
  std::string bytes;
  const std::string* source = nullptr;  // the file's name, owned by the reader
  int64_t line = 0;                     // rows: 1-based line or array element number
  int64_t source_byte = 0;              // decoded bytes of this file before the record
  int64_t begin_byte = 0;               // decoded bytes of all input before the record
  bool is_row = false;
  bool in_array = false;
  bool begins = true;
  bool ends = true;
};

struct Document {
  std::string text;
  bool begins = true;
  bool ends = true;
};

/// Where a row stands, for messages: "a.jsonl:1042".
std::string place_of(const RawRecord& record);

/// The text of a record: a row is parsed, a plain piece is checked and moved out. Errors (exit 3)
/// begin with the source and the place.
std::string record_text(RawRecord&& record, const TextReaderOptions& options);

class TextReader {
 public:
  /// Opens nothing yet but refuses at once: missing files, directories, pipes, parquet, arrow,
  /// gzip.
  TextReader(std::vector<std::string> paths, TextReaderOptions options);
  ~TextReader();

  /// The next piece; false at the end of the last file.
  bool next(Document& document);
  /// The same before JSON parsing, for callers that parse in other threads; do not mix with next().
  bool next_record(RawRecord& record);

  const TextReaderOptions& options() const { return options_; }
  int64_t bytes_read() const;  // decoded bytes so far
  int64_t skipped_rows() const { return skipped_; }
  const std::string& first_bad_row() const {
    return first_bad_;
  }  // the message of the first row left out

 private:
  class Files;
  TextReaderOptions options_;
  std::unique_ptr<Files> files_;
  RawRecord record_;
  int64_t skipped_ = 0;
  std::string first_bad_;
};

/// Decoded size of all input: stat for plain files, a decoding pass for zstd; exit 2 for standard
/// input, which can be read only once.
int64_t count_text_bytes(const std::vector<std::string>& paths);

}  // namespace llm
