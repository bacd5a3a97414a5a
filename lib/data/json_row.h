// What one JSON row says, whichever of the known shapes it has (data/text_reader.h lists them): a
// text, or messages. Pure; thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/json_scanner.h"
#include "data/text_reader.h"

namespace llm {

struct RowMessage {
  std::string role;  // user, assistant, system, tool ...: other names for them are translated
  std::string content;
  bool learn = true;                  // false: "weight": 0 or "train": false stands beside it
  const JsonValue* source = nullptr;  // the message in RowContent::row; null: a field of the row
};

struct RowContent {
  RowContent() = default;
  RowContent(RowContent&&) = default;  // what points into `row` stays valid
  RowContent& operator=(RowContent&&) = default;

  JsonValue row;
  std::string text;                  // where there are no messages
  std::vector<RowMessage> messages;  // at least one by the assistant, or none at all
  const JsonValue* tools = nullptr;  // what templates show beside the messages; null: none
  bool pair = false;  // a question and its answer (prompt + response, alpaca): two messages
};

/// `place` stands in front of every complaint: "a.jsonl:1042".
RowContent parse_json_row(std::string_view row, std::string_view place,
                          const TextReaderOptions& options);

/// Bytes [begin, end) of a text.
struct ByteSpan {
  size_t begin = 0, end = 0;
};

/// The row as one plain text: a pair as two lines, a conversation as one "role: content" line per
/// message. `replies`, where given, gets the spans of what the assistant says and is to be learnt.
std::string plain_text(const RowContent& content, std::vector<ByteSpan>* replies = nullptr);

}  // namespace llm
