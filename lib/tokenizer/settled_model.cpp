#include "tokenizer/settled_model.h"

#include "base/protobuf_reader.h"
#include "base/protobuf_writer.h"

namespace llm {
namespace {

// Fields of SentencePiece's ModelProto and of its TrainerSpec.
constexpr uint32_t kTrainerSpec = 2, kVocabSize = 4, kHardVocabLimit = 33;

/// `spec` with the pieces that there are instead of those that were wished for.
std::string settled_spec(std::string_view spec, int64_t pieces) {
  ProtobufWriter settled;
  ProtobufReader fields(spec);
  for (size_t begin = 0; const auto field = fields.next(); begin = fields.position()) {
    if (field->number == kVocabSize) {
      settled.put_varint(kVocabSize, static_cast<uint64_t>(pieces));
    } else if (field->number != kHardVocabLimit) {
      settled.put_fields(spec.substr(begin, fields.position() - begin));
    }
  }
  return settled.message();
}

}  // namespace

std::string settled_model(std::string_view model, int64_t pieces) {
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
