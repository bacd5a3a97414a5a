#include "tokenizer/settled_model.h"

#include "base/protobuf_reader.h"
#include "base/protobuf_writer.h"

namespace llm {
namespace {

// Fields of SentencePiece's ModelProto and of its TrainerSpec.
constexpr uint32_t kPieces = 1, kTrainerSpec = 2, kVocabSize = 4, kHardVocabLimit = 33;

/// `spec` with the pieces that there are instead of those that were wished for.
std::string settled_spec(std::string_view spec, uint64_t pieces) {
  ProtobufWriter settled;
  ProtobufReader fields(spec);
  for (size_t begin = 0; const auto field = fields.next(); begin = fields.position()) {
    if (field->number == kVocabSize) {
      settled.put_varint(kVocabSize, pieces);
    } else if (field->number != kHardVocabLimit) {
      settled.put_fields(spec.substr(begin, fields.position() - begin));
    }
  }
  return settled.message();
}

}  // namespace

std::string settled_model(std::string_view model) {
  uint64_t pieces = 0;
  for (ProtobufReader fields(model); const auto field = fields.next();)
    pieces += field->number == kPieces ? 1 : 0;
  ProtobufWriter settled;
  ProtobufReader fields(model);
  for (size_t begin = 0; const auto field = fields.next(); begin = fields.position()) {
    if (field->number == kTrainerSpec) {
      settled.put_bytes(kTrainerSpec, settled_spec(field->bytes, pieces));
    } else {
      settled.put_fields(model.substr(begin, fields.position() - begin));
    }
  }
  return settled.message();
}

}  // namespace llm
