#include "model/pickle_machine.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/utf8.h"

namespace llm {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxStack = 1'000'000, kMaxNameBytes = 200;

// Names from the file go into messages: printable and short.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 100)) {
    out += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return out + (text.size() > 100 ? "..." : "");
}

}  // namespace

uint32_t PickleMachine::run() {
  for (;;) {
    const auto opcode = static_cast<uint8_t>(number(1));
    if (opcode == '.') {
      const uint32_t result = pop();
      if (!stack_.empty() || !marks_.empty()) {
        u_.damaged("values are left over at its end");
      }
      return result;
    }
    if (!constant(opcode) && !text(opcode) && !container(opcode) && !memo(opcode) &&
        !object(opcode)) {
      refuse_opcode(opcode);
    }
  }
}

bool PickleMachine::constant(uint8_t opcode) {
  switch (opcode) {
    case 0x80:  // PROTO
      if (number(1) > 5) {
        u_.damaged("made by a newer pickle protocol than 5");
      }
      return true;
    case 0x95:  // FRAME
      number(8);
      return true;
    case 'N':
      push({Kind::none});
      return true;
    case 0x88:
    case 0x89:
      push({Kind::boolean, opcode == 0x88});
      return true;
    case 'K':
      push({Kind::integer, static_cast<int64_t>(number(1))});
      return true;
    case 'M':
      push({Kind::integer, static_cast<int64_t>(number(2))});
      return true;
    case 'J':
      push({Kind::integer, signed_number(4)});
      return true;
    case 0x8a: {  // LONG1
      const auto length = static_cast<int>(number(1));
      if (length > 8) {
        push({Kind::long_integer, 0, bytes(static_cast<uint64_t>(length))});
      } else {
        push({Kind::integer, signed_number(length)});
      }
      return true;
    }
    case 'G':  // BINFLOAT
      number(8);
      push({Kind::real});
      return true;
    default:
      return false;
  }
}

bool PickleMachine::text(uint8_t opcode) {
  uint64_t length = 0;
  switch (opcode) {
    case 0x8c:  // SHORT_BINUNICODE
    case 'U':   // SHORT_BINSTRING
      length = number(1);
      break;
    case 'X':  // BINUNICODE
    case 'T':  // BINSTRING
      length = number(4);
      break;
    case 0x8d:  // BINUNICODE8
      length = number(8);
      break;
    default:
      return false;
  }
  const std::string_view content = bytes(length);
  if (!utf8::is_valid(content)) {
    u_.damaged("a text is not UTF-8");
  }
  push({Kind::text, 0, content});
  return true;
}

bool PickleMachine::container(uint8_t opcode) {
  const auto tuple_of = [this](int count) {
    PickleValue tuple{Kind::tuple, 0, {}, std::vector<uint32_t>(static_cast<size_t>(count))};
    for (size_t i = tuple.items.size(); i-- > 0;) {
      tuple.items[i] = pop();
    }
    push(std::move(tuple));
  };
  const auto extend = [this](Kind kind, const std::vector<uint32_t>& items) {
    PickleValue& target = at(top());
    if (target.kind != kind || (kind == Kind::dictionary && items.size() % 2 != 0)) {
      u_.damaged("items are added to something that takes none");
    }
    target.items.insert(target.items.end(), items.begin(), items.end());
  };
  switch (opcode) {
    case '(':
      if (marks_.size() >= kMaxStack) {
        u_.damaged("nesting too deep");
      }
      marks_.push_back(stack_.size());
      return true;
    case ')':
      push({Kind::tuple});
      return true;
    case ']':
      push({Kind::list});
      return true;
    case '}':
      push({Kind::dictionary});
      return true;
    case 0x85:
    case 0x86:
    case 0x87:
      tuple_of(opcode - 0x84);
      return true;
    case 't':
      push({Kind::tuple, 0, {}, pop_to_mark()});
      return true;
    case 'a':
      extend(Kind::list, {pop()});
      return true;
    case 'e':
      extend(Kind::list, pop_to_mark());
      return true;
    case 's': {
      const uint32_t value = pop(), key = pop();
      extend(Kind::dictionary, {key, value});
      return true;
    }
    case 'u':
      extend(Kind::dictionary, pop_to_mark());
      return true;
    default:
      return false;
  }
}

bool PickleMachine::memo(uint8_t opcode) {
  const auto recall = [this](uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) {
      u_.damaged(fmt::format("memo {} was never written", key));
    }
    push_index(found->second);
  };
  switch (opcode) {
    case 'q':
      remember(number(1));
      return true;
    case 'r':
      remember(number(4));
      return true;
    case 0x94:  // MEMOIZE
      remember(memo_.size());
      return true;
    case 'h':
      recall(number(1));
      return true;
    case 'j':
      recall(number(4));
      return true;
    default:
      return false;
  }
}

void PickleMachine::remember(uint64_t key) { memo_[key] = top(); }

bool PickleMachine::object(uint8_t opcode) {
  switch (opcode) {
    case 'c': {  // GLOBAL
      const std::string_view module = line();
      push_name(module, line());
      return true;
    }
    case 0x93: {  // STACK_GLOBAL
      const PickleValue &name = at(pop()), &module = at(pop());
      if (name.kind != Kind::text || module.kind != Kind::text) {
        u_.damaged("a name is not a text");
      }
      push_name(module.text, name.text);
      return true;
    }
    case 'Q':  // BINPERSID
      push_storage(pop());
      return true;
    case 'R':
      reduce();
      return true;
    case 'b':
      build();
      return true;
    default:
      return false;
  }
}

void PickleMachine::push_name(std::string_view module, std::string_view name) {
  const PickleName* known = find_pickle_name(module, name);
  if (known == nullptr) {
    refuse_pickle(u_.source_,
                  fmt::format("this one asks for {}.{}", printable(module), printable(name)));
  }
  push({Kind::name, known - &pickle_name(0)});
}

void PickleMachine::refuse_opcode(uint8_t opcode) const {
  struct Known {
    uint8_t opcode;
    const char* name;
  };
  // Opcodes that call or import, by name; whatever else is not known is told by its number.
  static constexpr Known kCalling[] = {
      {'i', "INST"},   {'o', "OBJ"},     {0x81, "NEWOBJ"}, {0x92, "NEWOBJ_EX"}, {'P', "PERSID"},
      {0x82, "EXT1"},  {0x83, "EXT2"},   {0x84, "EXT4"},   {'I', "INT"},        {'L', "LONG"},
      {'S', "STRING"}, {'V', "UNICODE"}, {'F', "FLOAT"},   {'d', "DICT"},       {'l', "LIST"},
      {'p', "PUT"},    {'g', "GET"},     {'0', "POP"},     {'2', "DUP"}};
  for (const Known& known : kCalling) {
    if (known.opcode == opcode) {
      refuse_pickle(u_.source_, fmt::format("this one uses opcode {}", known.name));
    }
  }
  refuse_pickle(u_.source_, fmt::format("this one uses opcode 0x{:02x}", opcode));
}

void PickleMachine::need(uint64_t count) const {
  if (count > u_.bytes_.size() - u_.at_) {
    u_.damaged("it ends in the middle");
  }
}

uint64_t PickleMachine::number(int count) {
  need(static_cast<uint64_t>(count));
  uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i) {
    value = value << 8 | static_cast<uint64_t>(u_.bytes_[u_.at_ + static_cast<size_t>(i)]);
  }
  u_.at_ += static_cast<size_t>(count);
  return value;
}

int64_t PickleMachine::signed_number(int count) {
  if (count == 0) {
    return 0;
  }
  const int unused = 64 - 8 * count;
  return static_cast<int64_t>(number(count) << unused) >> unused;
}

std::string_view PickleMachine::bytes(uint64_t count) {
  need(count);
  const std::string_view content(reinterpret_cast<const char*>(u_.bytes_.data()) + u_.at_,
                                 static_cast<size_t>(count));
  u_.at_ += content.size();
  return content;
}

std::string_view PickleMachine::line() {
  const std::string_view rest(reinterpret_cast<const char*>(u_.bytes_.data()) + u_.at_,
                              u_.bytes_.size() - u_.at_);
  const size_t length = rest.substr(0, kMaxNameBytes + 1).find('\n');
  if (length == std::string_view::npos) {
    u_.damaged("a name does not end");
  }
  u_.at_ += length + 1;
  return rest.substr(0, length);
}

void PickleMachine::push_index(uint32_t index) {
  if (stack_.size() >= kMaxStack) {
    u_.damaged("nesting too deep");
  }
  stack_.push_back(index);
}

uint32_t PickleMachine::top() const {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) {
    u_.damaged("a value is missing");
  }
  return stack_.back();
}

uint32_t PickleMachine::pop() {
  const uint32_t index = top();
  stack_.pop_back();
  return index;
}

std::vector<uint32_t> PickleMachine::pop_to_mark() {
  if (marks_.empty()) {
    u_.damaged("a mark is missing");
  }
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<uint32_t> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

}  // namespace llm
