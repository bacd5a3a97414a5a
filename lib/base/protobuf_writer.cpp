#include "base/protobuf_writer.h"

#include <bit>

#include "base/protobuf_reader.h"

namespace llm {
namespace {

uint64_t key_of(uint32_t number, ProtobufField::Wire wire) {
  return uint64_t{number} << 3 | static_cast<uint64_t>(wire);
}

}  // namespace

void ProtobufWriter::append_varint(uint64_t value) {
  for (; value >= 0x80; value >>= 7) message_ += static_cast<char>(value | 0x80);
  message_ += static_cast<char>(value);
}

void ProtobufWriter::append_fixed(uint64_t bits, int bytes) {
  for (int i = 0; i < bytes; ++i) message_ += static_cast<char>(bits >> (8 * i));
}

void ProtobufWriter::put_varint(uint32_t number, uint64_t value) {
  append_varint(key_of(number, ProtobufField::Wire::varint));
  append_varint(value);
}

void ProtobufWriter::put_float(uint32_t number, float value) {
  append_varint(key_of(number, ProtobufField::Wire::fixed32));
  append_fixed(std::bit_cast<uint32_t>(value), 4);
}

void ProtobufWriter::put_double(uint32_t number, double value) {
  append_varint(key_of(number, ProtobufField::Wire::fixed64));
  append_fixed(std::bit_cast<uint64_t>(value), 8);
}

void ProtobufWriter::put_bytes(uint32_t number, std::string_view bytes) {
  append_varint(key_of(number, ProtobufField::Wire::bytes));
  append_varint(bytes.size());
  message_ += bytes;
}

}  // namespace llm
