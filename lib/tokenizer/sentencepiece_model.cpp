#include "tokenizer/sentencepiece_model.h"

#include <cmath>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/piece_index.h"
#include "base/protobuf_reader.h"

namespace llm {
namespace {

using Wire = ProtobufField::Wire;

constexpr std::string_view kOtherResult = "; its text would be cut differently here";

/// Reads the parts of one file into one model.
class ModelReader {
 public:
  ModelReader(std::string_view file, std::string_view name) : file_(file), name_(name) {}

  SentencePieceModel read() {
    ProtobufReader reader(file_);
    while (const auto field = reader.next()) {
      // A file that begins with anything but pieces was never a model.
      if (model_.pieces.empty() && (field->number != 1 || field->wire != Wire::bytes))
        fail_foreign();
      if (field->number <= 5 && field->wire != Wire::bytes) fail_damaged(reader.position());
      switch (field->number) {
        case 1:
          read_piece(*field);
          break;
        case 2:
          read_trainer(*field);
          break;
        case 3:
          read_normalizer(*field);
          break;
        case 5:
          read_denormalizer(*field);
          break;
        default:
          break;
      }
    }
    if (reader.damaged()) {
      if (model_.pieces.empty() && (file_.empty() || file_[0] != '\n')) fail_foreign();
      fail_damaged(reader.position());
    }
    // SentencePiece writes both always, after the pieces: a file without them was cut off between
    // two pieces.
    if (!has_trainer_ || !has_normalizer_) fail_damaged(file_.size());
    check_whole();
    return std::move(model_);
  }

 private:
  [[noreturn]] void fail_foreign() const {
    fail(Exit::bad_input,
         fmt::format("'{}' is not a SentencePiece model or tokenizer.json", name_));
  }

  [[noreturn]] void fail_damaged(size_t position) const {
    fail(Exit::bad_input,
         fmt::format("'{}' is damaged: not a complete SentencePiece model (stopped at byte {})",
                     name_, position));
  }

  void read_piece(const ProtobufField& message) {
    const size_t id = model_.pieces.size();
    check_input(id < kMaxPieces, "'{}' declares more than {} pieces", name_, kMaxPieces);
    SentencePiece piece;
    uint64_t type = static_cast<uint64_t>(PieceType::normal);
    ProtobufReader reader(message.bytes, message.bytes_offset);
    while (const auto field = reader.next()) {
      if (field->number == 1 && field->wire == Wire::bytes)
        piece.text = field->bytes;
      else if (field->number == 2 && field->wire == Wire::fixed32)
        piece.score = field->as_float();
      else if (field->number == 3 && field->wire == Wire::varint)
        type = field->integer;
      else if (field->number <= 3)
        fail_part(id, reader.position());
    }
    if (reader.damaged()) fail_part(id, reader.position());
    check_input(!piece.text.empty(), "'{}': piece {} is empty", name_, id);
    check_input(piece.text.size() <= kMaxPieceBytes, "'{}': piece {} is {} bytes long (limit {})",
                name_, id, piece.text.size(), kMaxPieceBytes);
    check_input(utf8::is_valid(piece.text), "'{}': piece {} is not valid UTF-8", name_, id);
    check_input(std::isfinite(piece.score), "'{}': piece {} has no finite score", name_, id);
    check_input(type >= 1 && type <= 6, "'{}': piece {} has the unknown type {}", name_, id, type);
    piece.type = static_cast<PieceType>(type);
    model_.pieces.push_back(piece);
  }

  /// Damage in the very first piece means that the file is something else.
  [[noreturn]] void fail_part(size_t id, size_t position) const {
    if (id == 0) fail_foreign();
    fail_damaged(position);
  }

  void read_trainer(const ProtobufField& message) {
    has_trainer_ = true;
    ProtobufReader reader(message.bytes, message.bytes_offset);
    while (const auto field = reader.next()) {
      const bool number = field->wire == Wire::varint, text = field->wire == Wire::bytes;
      switch (field->number) {
        case 3:
          check_input(number && field->integer >= 1 && field->integer <= 4,
                      "'{}': the model type {} is unknown (1 to 4 are)", name_, field->integer);
          model_.segmentation = static_cast<SegmentationType>(field->integer);
          break;
        case 24:
          check_input(number && field->integer == 0,
                      "'{}': whitespace as a suffix is not supported{}", name_, kOtherResult);
          break;
        case 35:
          model_.byte_fallback = number && field->integer != 0;
          break;
        case 44:
          if (text) model_.unk_surface = field->bytes;
          break;
        case 45:
          if (text) model_.unk_piece = field->bytes;
          break;
        case 46:
          if (text) model_.bos_piece = field->bytes;
          break;
        case 47:
          if (text) model_.eos_piece = field->bytes;
          break;
        case 48:
          if (text) model_.pad_piece = field->bytes;
          break;
        default:
          break;
      }
    }
    if (reader.damaged()) fail_damaged(reader.position());
    check_input(model_.unk_surface.size() <= kMaxPieceBytes,
                "'{}': unk_surface is {} bytes long (limit {})", name_, model_.unk_surface.size(),
                kMaxPieceBytes);
  }

  void read_normalizer(const ProtobufField& message) {
    has_normalizer_ = true;
    ProtobufReader reader(message.bytes, message.bytes_offset);
    while (const auto field = reader.next()) {
      const bool on = field->wire == Wire::varint && field->integer != 0;
      switch (field->number) {
        case 2:
          if (field->wire == Wire::bytes) model_.charsmap = field->bytes;
          break;
        case 3:
          model_.add_dummy_prefix = on;
          break;
        case 4:
          model_.remove_extra_whitespaces = on;
          break;
        case 5:
          check_input(on, "'{}': a model that does not escape whitespace is not supported{}", name_,
                      kOtherResult);
          break;
        default:
          break;
      }
    }
    if (reader.damaged()) fail_damaged(reader.position());
  }

  void read_denormalizer(const ProtobufField& message) {
    ProtobufReader reader(message.bytes, message.bytes_offset);
    while (const auto field = reader.next()) {
      check_input(field->number != 2 || field->bytes.empty(),
                  "'{}': a denormaliser is not supported{}", name_, kOtherResult);
    }
    if (reader.damaged()) fail_damaged(reader.position());
  }

  void check_whole() {
    PieceIndex seen(model_.pieces.size());
    model_.byte_ids.fill(-1);
    for (size_t id = 0; id < model_.pieces.size(); ++id) {
      const SentencePiece& piece = model_.pieces[id];
      const int32_t first = seen.insert(piece.text, static_cast<int32_t>(id));
      check_input(first < 0, "'{}': piece '{}' appears twice (ids {}, {})", name_,
                  piece.text.substr(0, 64), first, id);
      if (piece.type == PieceType::unknown) {
        check_input(model_.unk_id < 0, "'{}' has two unknown pieces (ids {}, {})", name_,
                    model_.unk_id, id);
        model_.unk_id = static_cast<int32_t>(id);
      }
      if (piece.type == PieceType::byte)
        model_.byte_ids[byte_value(piece.text, id)] = static_cast<int32_t>(id);
    }
    check_input(model_.unk_id >= 0, "'{}': the model has no <unk>", name_);
    for (int byte = 0; model_.byte_fallback && byte < 256; ++byte) {
      check_input(model_.byte_ids[byte] >= 0,
                  "'{}': byte fallback is on, but the piece <0x{:02X}> is missing", name_, byte);
    }
  }

  uint8_t byte_value(std::string_view text, size_t id) const {
    const auto digit = [](char c) {
      return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    };
    const bool shape = text.size() == 6 && text.substr(0, 3) == "<0x" && text[5] == '>' &&
                       digit(text[3]) >= 0 && digit(text[4]) >= 0;
    check_input(shape, "'{}': piece {} is of type byte, but is called '{}'", name_, id,
                text.substr(0, 64));
    return static_cast<uint8_t>(digit(text[3]) * 16 + digit(text[4]));
  }

  std::string_view file_, name_;
  SentencePieceModel model_;
  bool has_trainer_ = false, has_normalizer_ = false;
};

}  // namespace

SentencePieceModel read_sentencepiece_model(std::string_view file, std::string_view name) {
  return ModelReader(file, name).read();
}

}  // namespace llm
