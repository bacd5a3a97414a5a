#include "base/protobuf_reader.h"

#include <gtest/gtest.h>

#include "tests/tokenizer/model_builder.h"

namespace llm {
namespace {

using test::bytes_field;
using test::float_field;
using test::number_field;
using Wire = ProtobufField::Wire;

TEST(ProtobufReader, FieldsComeInOrderWithTheirPlaces) {
  const std::string message = number_field(3, 300) + bytes_field(1, "abc") + float_field(2, -1.5f) +
                              number_field(16, ~uint64_t{0});
  ProtobufReader reader(message, 1000);
  auto field = reader.next();
  ASSERT_TRUE(field);
  EXPECT_EQ(field->number, 3u);
  EXPECT_EQ(field->integer, 300u);
  EXPECT_EQ(reader.position(), 1003u);
  field = reader.next();
  ASSERT_TRUE(field);
  EXPECT_EQ(field->wire, Wire::bytes);
  EXPECT_EQ(field->bytes, "abc");
  EXPECT_EQ(field->bytes_offset, 1005u);
  field = reader.next();
  ASSERT_TRUE(field);
  EXPECT_EQ(field->as_float(), -1.5f);
  field = reader.next();
  ASSERT_TRUE(field);
  EXPECT_EQ(field->number, 16u);
  EXPECT_EQ(field->integer, ~uint64_t{0});
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.damaged());
}

TEST(ProtobufReader, WhatDoesNotFitIsDamage) {
  const std::string cases[] = {
      "\x0A",  // no length
      "\x0A\x05"
      "abcd",                                              // shorter than its length
      "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",      // length 2^64 - 1
      "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x02",      // more than 64 bits
      "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",  // more than ten bytes
      "\x08",                                              // no value
      "\x0D\x01\x02\x03",                                  // three of four bytes
      "\x09\x01\x02\x03\x04",                              // four of eight bytes
      "\x0B",                                              // a group
      "\x0F",                                              // wire type 7
      std::string("\x00\x01", 2),                          // field 0
  };
  for (const std::string& message : cases) {
    const std::string whole = "\x08\x01" + message;
    ProtobufReader reader(whole);
    ASSERT_TRUE(reader.next());
    EXPECT_FALSE(reader.next());
    EXPECT_TRUE(reader.damaged());
    EXPECT_EQ(reader.position(), 2u);
    EXPECT_FALSE(reader.next());
  }
}

}  // namespace
}  // namespace llm
