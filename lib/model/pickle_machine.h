// The stack machine that a pickle is a program for, without the parts that could do harm. Private
// to unpickler.h, which says what is allowed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/unpickler.h"

namespace llm {

class PickleMachine {
 public:
  explicit PickleMachine(Unpickler& unpickler) : u_(unpickler) {}
  /// Runs up to STOP; the index of what was left on the stack.
  uint32_t run();

 private:
  // Groups of opcodes: false where the opcode is none of theirs.
  bool constant(uint8_t opcode);
  bool text(uint8_t opcode);
  bool container(uint8_t opcode);
  bool memo(uint8_t opcode);
  bool object(uint8_t opcode);
  [[noreturn]] void refuse_opcode(uint8_t opcode) const;

  // The bytes behind an opcode.
  void need(uint64_t bytes) const;
  uint64_t number(int bytes);
  int64_t signed_number(int bytes);
  std::string_view bytes(uint64_t count);
  std::string_view line();

  // The stack.
  void push(PickleValue value) { push_index(u_.add(std::move(value))); }
  void push_index(uint32_t index);
  uint32_t pop();
  uint32_t top() const;
  std::vector<uint32_t> pop_to_mark();
  PickleValue& at(uint32_t index) { return u_.values_[index]; }

  // What stands for calls.
  void push_name(std::string_view module, std::string_view name);
  void push_storage(uint32_t arguments);
  void reduce();
  void build();
  void rebuild_tensor(const PickleName& function, const std::vector<uint32_t>& arguments);
  void fill_dictionary(uint32_t dictionary, uint32_t pairs);
  void remember(uint64_t key);

  int64_t integer(uint32_t index, const char* what);
  std::vector<int64_t> integers(uint32_t index, const char* what);

  Unpickler& u_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
};

}  // namespace llm
