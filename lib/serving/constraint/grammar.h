// What a text may look like: a grammar over bytes, compiled to a small program with a stack.
//
// A grammar is written with a GrammarBuilder (grammar_builder.h), in llama.cpp's notation (gbnf.h)
// or as a JSON schema (json_schema.h), and compiled once. The program is nondeterministic: a text
// is matched by following every way through it at once, and each way has a stack of the calls and
// counted loops it is inside. `StackWalker` does that; `Constraint` (constraint.h) lifts it from
// bytes to tokens.
//
// Every step of a program can be completed to a whole text: what cannot is never entered. Immutable
// after compilation, so shared by any number of threads.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

struct GrammarLimits {
  size_t max_rules = 100'000;
  size_t max_nesting = 256;      // of groups, alternatives and repetitions within one rule
  size_t max_steps = 500'000;    // of the program
  size_t max_stack_depth = 500;  // calls and counted loops a text can be inside; deeper nesting is
                                 // not generated
  size_t max_live_stacks = 65'536;       // ways through the grammar at one byte
  size_t max_work_per_mask = 4'000'000;  // ways followed for one mask or one token
  bool operator==(const GrammarLimits&) const = default;
};

namespace constraint {

using ByteSet = std::bitset<256>;
inline constexpr uint32_t kUnbounded = UINT32_MAX;
inline constexpr uint32_t kNoStep = UINT32_MAX;

enum class Op : uint8_t {
  bytes,   // one byte of sets[a], then step b
  split,   // any of targets[a .. a + b)
  call,    // rules[a], then step b; kNoStep: what follows is what follows this rule
  loop,    // push a counter at 0, go to loops[a].test
  test,    // loops[a]: once more or out
  again,   // loops[a]: one more time done
  finish,  // the end of the rule
};

struct Step {
  Op op = Op::finish;
  uint32_t a = 0;
  uint32_t b = 0;
  bool operator==(const Step&) const = default;
};

struct Loop {
  uint32_t min = 0;
  uint32_t max = kUnbounded;
  uint32_t test = kNoStep;  // its Op::test
  uint32_t body = kNoStep;  // ends in its Op::again
  uint32_t exit = kNoStep;
  bool nullable_body = false;  // then min is 0
  bool operator==(const Loop&) const = default;
};

struct Rule {
  std::string name;
  uint32_t start = kNoStep;
  bool operator==(const Rule&) const = default;
};

}  // namespace constraint

struct Grammar {
  GrammarLimits limits;
  std::vector<constraint::Step> steps;
  std::vector<uint32_t> targets;  // of Op::split
  std::vector<constraint::ByteSet> sets;
  std::vector<constraint::Loop> loops;
  std::vector<constraint::Rule> rules;
  uint32_t root = 0;
  std::vector<uint32_t> room;  // per step: stack that any way to the end of its rule needs;
                               // kNoStep where there is none
  // Bytes that no set tells apart are one class.
  std::array<uint8_t, 256> class_of{};
  uint32_t classes = 0;
  std::vector<std::vector<bool>> set_has_class;  // [set][class]
  bool operator==(const Grammar&) const = default;
};

}  // namespace llm
