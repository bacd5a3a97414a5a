// Reads the fields of one Protocol Buffers message from memory
// (https://protobuf.dev/programming-guides/encoding), without any schema.
//
// Nothing is allocated or copied; views point into the given bytes. Every length is checked against
// what is left before it is used. Thread-safe as any value; a reader belongs to one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace llm {

struct ProtobufField {
  enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };
  uint32_t number = 0;
  Wire wire = Wire::varint;
  uint64_t integer = 0;     // varint, fixed32, fixed64: the raw bits
  std::string_view bytes;   // wire type bytes
  size_t bytes_offset = 0;  // of `bytes`, from the start of the file

  float as_float() const;
};

class ProtobufReader {
 public:
  /// `file_offset` is the place of `message` in the file, for position().
  explicit ProtobufReader(std::string_view message, size_t file_offset = 0)
      : rest_(message), position_(file_offset) {}

  /// The next field; nothing at the end of the message and where it is damaged.
  std::optional<ProtobufField> next();

  bool damaged() const { return damaged_; }
  /// File offset of the first byte that is not read yet; when damaged, of the field that could not
  /// be read.
  size_t position() const { return position_; }

 private:
  std::optional<uint64_t> varint(size_t& at) const;

  std::string_view rest_;
  size_t position_;
  bool damaged_ = false;
};

}  // namespace llm
