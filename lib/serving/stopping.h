// When a generation ends, and which part of its text may already be shown.
//
// The text of a generation is the concatenation of its tokens' bytes, cut before the first stop
// string, with every byte that is not UTF-8 replaced by U+FFFD. TextStreamer computes exactly that
// text piece by piece: it holds back an unfinished UTF-8 character and any tail that could still
// become a stop string, so that the concatenation of the pieces it releases is the final text,
// always valid UTF-8. One per sequence; not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "serving/generation_config.h"

namespace llm {

enum class FinishReason { none, stop, length, stop_string, cancelled, error };

/// stop, length, stop_string, cancelled, error; "none" while running.
std::string_view finish_reason_name(FinishReason reason);

/// Bytes in, bytes out, up to the first occurrence of any of the stop strings (the earliest start
/// wins).
class StopStringFilter {
 public:
  explicit StopStringFilter(std::vector<std::string> stop_strings);
  /// Appends `bytes`; returns what is now known to stand before any stop string. After a match:
  /// nothing more. Unless `may_stop`, a stop string that is whole with these bytes is text.
  std::string feed(std::string_view bytes, bool may_stop = true);
  /// The end of the text: what was held back.
  std::string finish();
  bool matched() const { return matched_; }

 private:
  std::vector<std::string> stop_strings_;
  size_t longest_ = 0;
  std::string held_;
  size_t passed_ = 0;  // bytes of held_ in which nothing may stop
  bool matched_ = false;
};

/// Bytes in, valid UTF-8 out; an unfinished character waits for its rest, what can never be UTF-8
/// becomes U+FFFD.
class Utf8Filter {
 public:
  std::string feed(std::string_view bytes);
  std::string finish();

 private:
  std::string held_;
};

class TextStreamer {
 public:
  explicit TextStreamer(std::vector<std::string> stop_strings) : stop_(std::move(stop_strings)) {}
  /// The bytes of one more token; returns the text that may be shown now. Unless `may_stop`, the
  /// text goes on although a stop string ends with this token.
  std::string feed(std::string_view token_bytes, bool may_stop = true);
  /// No more tokens; returns the rest of the text.
  std::string finish();
  bool stopped() const { return stop_.matched(); }

 private:
  StopStringFilter stop_;
  Utf8Filter utf8_;
  bool finished_ = false;
};

/// The criteria that look at ids and counts; stop strings are TextStreamer's.
class StoppingCriteria {
 public:
  explicit StoppingCriteria(FrozenGenerationConfig config) : config_(std::move(config)) {}
  /// After token `id` as the `generated`-th new token (1 for the first); the end of text is looked
  /// at before the length.
  FinishReason after_token(int32_t id, int64_t generated) const;

 private:
  FrozenGenerationConfig config_;
};

}  // namespace llm
