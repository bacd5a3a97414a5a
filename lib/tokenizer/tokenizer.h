// The seam between text and token ids.
//
// A tokenizer turns any byte string into ids and back. It is immutable after loading: every method
// is const and may be called from any number of threads at once. Ids are int32 and dense, 0 ..
// vocab_size() - 1.
//
// Text is only text: encode() adds no begin or end token, and the spelling of a special token
// inside the text ("<s>", "<mask>") is encoded as the characters it consists of, so that nobody can
// smuggle a control id into a prompt or a dataset.
//
// Tokenizers made by `llm train-tokenizer` with byte fallback are exact: decode(encode(x)) == x for
// every byte string x, NUL, invalid UTF-8 and a literal U+2581 included. Their special ids are pad
// 0, bos 1, eos 2, unk 3, mask 4. Tokenizers from elsewhere follow their own file (other ids, a
// space put before the text, Unicode normalisation).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

struct TokenizerFile {
  std::string name;
  std::string bytes;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// The ids of `text`, any bytes; empty for empty text.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;

  /// The same, except that the spelling of an added or special token inside the text becomes its
  /// id, as Hugging Face's tokenizers do it with add_special_tokens=False. For text that this
  /// program wrote itself (a rendered chat template), never for what a user typed.
  virtual std::vector<int32_t> encode_with_special(std::string_view text) const {
    return encode(text);
  }

  /// `ids` of one text inside what the tokenizer's file puts around a text (Llama 3:
  /// <|begin_of_text|> before it); the ids themselves where it has no such rule.
  virtual std::vector<int32_t> with_template(std::vector<int32_t> ids) const { return ids; }

  /// The bytes of `ids`. Control ids (pad, bos, eos, mask) give nothing. It equals the
  /// token_bytes() one after another, except that a model which puts a space before every text
  /// takes that space off again. The bytes of a part of a text may end inside a UTF-8 character
  /// (base/utf8.h). An id outside the vocabulary is the caller's error (Exit::usage).
  virtual std::string decode(std::span<const int32_t> ids) const = 0;

  /// What one id adds to a text that already has something before it. Valid as long as the
  /// tokenizer.
  virtual std::string_view token_bytes(int32_t id) const = 0;

  /// The piece as the file spells it ("▁the", "<0x0A>", "<s>"): for display. Valid as long as the
  /// tokenizer.
  virtual std::string_view token_text(int32_t id) const = 0;

  /// The id whose token_text is `text`.
  virtual std::optional<int32_t> find_token(std::string_view text) const = 0;

  /// True for ids that stand for no text: pad, bos, eos, unk, mask and every other control piece.
  virtual bool is_special(int32_t id) const = 0;

  virtual int64_t vocab_size() const = 0;

  /// Ids of the special tokens; -1 where the tokenizer has none. eos is always there.
  virtual int32_t pad_id() const = 0;
  virtual int32_t bos_id() const = 0;
  virtual int32_t eos_id() const = 0;
  virtual int32_t unk_id() const = 0;
  virtual int32_t mask_id() const = 0;

  /// Lower-case hex SHA-256 of the tokenizer's file: its identity in datasets, checkpoints and run
  /// records.
  virtual const std::string& sha256() const = 0;

  /// The file itself, for copying into a model directory as file_name().
  virtual std::string_view file_bytes() const = 0;
  virtual std::string_view file_name() const = 0;

  /// Every file that belongs to the tokenizer: the file itself, then those found beside it that
  /// name its special tokens and its chat template. A copy of a tokenizer is a copy of all of them.
  virtual std::vector<TokenizerFile> files() const {
    return {{std::string(file_name()), std::string(file_bytes())}};
  }
};

/// Loads a tokenizer file, or the one inside a model directory. Everything about the file is
/// checked before any of it is used; a bad file throws Error(Exit::bad_input) that says what it is
/// instead (docs/reliability.md).
std::unique_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& file_or_directory);

/// The same from the bytes of a file; `name` stands in messages.
std::unique_ptr<const Tokenizer> load_tokenizer_bytes(std::string bytes, std::string_view name);

/// Refuses (Exit::bad_input) a tokenizer that does not fit the `rows` of an embedding. Rows may be
/// padded to a round number, as published models are (Qwen2: 151,665 pieces, 151,936 rows); special
/// tokens that no text becomes may lie beyond the last row.
void check_vocabulary(const Tokenizer& tokenizer, int64_t rows);

/// Refuses (Exit::bad_input) a dataset whose recorded tokenizer hash is another one; a difference
/// would train silently on noise.
void check_dataset_tokenizer(const Tokenizer& tokenizer, std::string_view dataset_sha256);

}  // namespace llm
