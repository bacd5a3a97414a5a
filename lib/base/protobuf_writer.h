// Writes the fields of one Protocol Buffers message
// (https://protobuf.dev/programming-guides/encoding), one behind the other, without any schema.
// Thread-safe as any value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace llm {

class ProtobufWriter {
 public:
  void put_varint(uint32_t number, uint64_t value);
  void put_float(uint32_t number, float value);
  void put_double(uint32_t number, double value);
  /// Texts, bytes and messages.
  void put_bytes(uint32_t number, std::string_view bytes);
  /// Whole fields as they lie in another message.
  void put_fields(std::string_view fields) { message_ += fields; }

  const std::string& message() const { return message_; }

 private:
  void append_varint(uint64_t value);
  void append_fixed(uint64_t bits, int bytes);
  std::string message_;
};

}  // namespace llm
