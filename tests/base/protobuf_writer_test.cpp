#include "base/protobuf_writer.h"

#include <gtest/gtest.h>

#include "base/protobuf_reader.h"

namespace llm {
namespace {

TEST(ProtobufWriter, WritesTheBytesOfTheFormat) {
  ProtobufWriter message;
  message.put_varint(1, 150);
  message.put_bytes(2, "testing");
  message.put_float(3, 1.0f);
  message.put_double(4, -2.0);
  message.put_varint(16, 0);
  EXPECT_EQ(message.message(), std::string("\x08\x96\x01"
                                           "\x12\x07testing"
                                           "\x1d\0\0\x80\x3f"
                                           "\x21\0\0\0\0\0\0\0\xc0"
                                           "\x80\x01\0",
                                           3 + 9 + 5 + 9 + 3));
}

TEST(ProtobufWriter, WhatItWritesIsReadBack) {
  ProtobufWriter message, whole;
  message.put_varint(7, ~uint64_t{0});
  message.put_float(0x1FFFFFFF, -1.5f);
  whole.put_fields(message.message());
  whole.put_bytes(1, std::string(300, 'x'));
  ProtobufReader reader(whole.message());
  EXPECT_EQ(reader.next()->integer, ~uint64_t{0});
  const auto number = reader.next();
  EXPECT_EQ(number->number, 0x1FFFFFFFu);
  EXPECT_EQ(number->as_float(), -1.5f);
  EXPECT_EQ(reader.next()->bytes, std::string(300, 'x'));
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.damaged());
}

}  // namespace
}  // namespace llm
