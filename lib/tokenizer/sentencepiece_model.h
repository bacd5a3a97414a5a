// The content of a SentencePiece .model file, read and checked by this program's own code.
//
// Format: the Protocol Buffers message ModelProto of SentencePiece (sentencepiece_model.proto):
// field 1 pieces {1 piece, 2 score, 3 type}, 2 trainer_spec, 3 normalizer_spec, 4 self_test_data
// (skipped), 5 denormalizer_spec.
//
// The SentencePiece library itself is never given a file from outside: version 0.1.97 crashes on a
// piece of 1 MB and ends the process on an empty one, and accepts most files with flipped bits.
// Here a file is used only if every piece is valid UTF-8, not empty, not longer than
// kMaxPieceBytes, of a known type, with a finite score, and there once; if there are at most
// kMaxPieces; if exactly one piece is unknown; and if the byte pieces are complete where the model
// uses them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

inline constexpr size_t kMaxPieceBytes = 65536;
inline constexpr size_t kMaxPieces = 2'000'000;

enum class PieceType : uint8_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};
enum class SegmentationType : uint8_t { unigram = 1, bpe = 2, word = 3, character = 4 };

struct SentencePiece {
  std::string_view text;  // as in the file: U+2581 stands for a space
  float score = 0;
  PieceType type = PieceType::normal;
};

/// Views point into the bytes that were read.
struct SentencePieceModel {
  std::vector<SentencePiece> pieces;  // index = id
  SegmentationType segmentation = SegmentationType::unigram;
  bool byte_fallback = false;
  std::array<int32_t, 256> byte_ids{};  // ids of <0x00> .. <0xFF>, -1 where there is none
  std::string_view unk_surface = " \xE2\x81\x87 ";
  std::string_view unk_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";
  int32_t unk_id = -1;

  std::string_view charsmap;  // compiled normalisation rules, empty = identity
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
};

/// Throws Error(Exit::bad_input); `name` stands in the message.
SentencePieceModel read_sentencepiece_model(std::string_view file, std::string_view name);

}  // namespace llm
