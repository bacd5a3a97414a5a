#include "base/protobuf_reader.h"

#include <bit>

namespace llm {

float ProtobufField::as_float() const {
  return std::bit_cast<float>(static_cast<uint32_t>(integer));
}

std::optional<uint64_t> ProtobufReader::varint(size_t& at) const {
  uint64_t value = 0;
  for (int shift = 0; shift < 70 && at < rest_.size(); shift += 7) {
    const auto byte = static_cast<uint8_t>(rest_[at++]);
    if (shift == 63 && byte > 1) return std::nullopt;  // more than 64 bits
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

std::optional<ProtobufField> ProtobufReader::next() {
  if (rest_.empty() || damaged_) return std::nullopt;
  damaged_ = true;  // until the whole field is read
  size_t at = 0;
  const auto key = varint(at);
  if (!key || *key >> 3 == 0 || *key >> 3 > 0x1FFFFFFF) return std::nullopt;

  ProtobufField field;
  field.number = static_cast<uint32_t>(*key >> 3);
  field.wire = static_cast<ProtobufField::Wire>(*key & 7);
  size_t fixed_bytes = 0;
  switch (field.wire) {
    case ProtobufField::Wire::varint: {
      const auto value = varint(at);
      if (!value) return std::nullopt;
      field.integer = *value;
      break;
    }
    case ProtobufField::Wire::bytes: {
      const auto length = varint(at);
      if (!length || *length > rest_.size() - at) return std::nullopt;
      field.bytes = rest_.substr(at, *length);
      field.bytes_offset = position_ + at;
      at += *length;
      break;
    }
    case ProtobufField::Wire::fixed64:
      fixed_bytes = 8;
      break;
    case ProtobufField::Wire::fixed32:
      fixed_bytes = 4;
      break;
    default:
      return std::nullopt;  // groups and unassigned types
  }
  if (fixed_bytes > rest_.size() - at) return std::nullopt;
  for (size_t i = 0; i < fixed_bytes; ++i)
    field.integer |= static_cast<uint64_t>(static_cast<uint8_t>(rest_[at++])) << (8 * i);

  rest_.remove_prefix(at);
  position_ += at;
  damaged_ = false;
  return field;
}

}  // namespace llm
