#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "base/error.h"
#include "base/utf8.h"
#include "tokenizer/unicode_differences.h"

namespace llm {
namespace {

constexpr size_t kMaxPatternBytes = 65536;
constexpr uint32_t kMaxMatchSteps = 20'000'000;  // of one match
constexpr size_t kJitStackStart = 32 << 10, kJitStackMost = 8 << 20;
constexpr auto kTimeToStart = std::chrono::seconds(5);
constexpr auto kTimePerByte = std::chrono::microseconds(2);

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using JitStack = std::unique_ptr<pcre2_jit_stack, Freed<pcre2_jit_stack_free>>;

std::string message_of(int error) {
  PCRE2_UCHAR text[256];
  const int length = pcre2_get_error_message(error, text, sizeof text);
  // It writes nothing for a number that it has no words for.
  if (length < 0) return fmt::format("error {}", error);
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(length)};
}

/// What one thread needs to match, made once.
struct Scratch {
  MatchData data{pcre2_match_data_create(1, nullptr)};
  MatchContext context{pcre2_match_context_create(nullptr)};
  JitStack stack{pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr)};
  Scratch() {
    if (!data || !context || !stack) throw std::bad_alloc();
    pcre2_set_match_limit(context.get(), kMaxMatchSteps);
    pcre2_set_depth_limit(context.get(), kMaxMatchSteps);
    pcre2_set_heap_limit(context.get(), 64 << 10);  // KiB
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
  }
};

/// `text`, valid, with every later character replaced by its stand-in of the same length; `room`
/// holds it if there is one.
std::string_view with_stand_ins(std::string_view text, std::string& room) {
  constexpr uint8_t kFirstOfThreeBytes = 0xE0;  // no later character has fewer
  bool replaced = false;
  for (size_t at = 0; at < text.size();) {
    if (static_cast<uint8_t>(text[at]) < kFirstOfThreeBytes) {
      ++at;
      continue;
    }
    const utf8::Character c = utf8::first_character(text.substr(at));
    if (const auto* later = unicode::find_range(unicode::later_characters(), c.code_point)) {
      if (!std::exchange(replaced, true)) room = text;
      std::string stand_in;
      utf8::append(stand_in, later->stand_in);
      room.replace(at, c.length, stand_in);
    }
    at += c.length;
  }
  return replaced ? std::string_view(room) : text;
}

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Freed<pcre2_code_free>> code;
};

Regex::~Regex() = default;

Regex::Regex(std::string_view pattern, std::string_view subject) : subject_(subject) {
  check_input(pattern.size() <= kMaxPatternBytes, "{} pattern is {} bytes long (limit {})", subject,
              pattern.size(), kMaxPatternBytes);
  const std::string rewritten = oniguruma_to_pcre2(pattern, subject);
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_unique<Code>();
  code->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
                                 PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                                 &error, &offset, nullptr));
  if (!code->code) {
    // Where it is in the pattern as written: a little before, if something was rewritten.
    offset = std::min<size_t>(offset, pattern.size());
    fail(Exit::bad_input,
         fmt::format("{} pattern is invalid at offset {}: {}", subject, offset, message_of(error)));
  }
  pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);  // without it matching is only slower
  code_ = std::move(code);
}

void Regex::for_each_match(std::string_view text, FunctionRef<void(size_t, size_t)> match) const {
  thread_local Scratch scratch;
  const auto start = std::chrono::steady_clock::now();
  uint64_t calls = 0;
  const auto check_time = [&] {
    if (++calls % 64 != 0) return;
    const auto spent = std::chrono::steady_clock::now() - start;
    check_input(spent < kTimeToStart + text.size() * kTimePerByte,
                "{} pattern takes too long on a text of {} bytes", subject_, text.size());
  };
  std::string room;
  for (size_t base = 0; base < text.size();) {
    const std::string_view stretch =
        with_stand_ins(text.substr(base, utf8::valid_prefix(text.substr(base))), room);
    size_t at = 0, last_end = SIZE_MAX;
    while (at <= stretch.size() && !stretch.empty()) {
      const int found = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(stretch.data()),
                                    stretch.size(), at, PCRE2_NO_UTF_CHECK, scratch.data.get(),
                                    scratch.context.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      check_input(found >= 0, "{} pattern fails on a text of {} bytes: {}", subject_, text.size(),
                  message_of(found));
      check_time();
      const PCRE2_SIZE* place = pcre2_get_ovector_pointer(scratch.data.get());
      const size_t begin = place[0], end = place[1];
      if (end > begin || begin != last_end) match(base + begin, base + end);
      last_end = end;
      at = end;
      if (end == begin) {  // step over one character
        if (at >= stretch.size()) break;
        at += utf8::first_character(stretch.substr(at)).length;
      }
    }
    base += stretch.size();
    while (base < text.size() && !utf8::first_character(text.substr(base)).valid) ++base;
  }
}

}  // namespace llm
