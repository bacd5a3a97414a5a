// Templates that want time, memory or the machine: each is refused with its line, quickly and
// small.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <time.h>

#include <nlohmann/json.hpp>

#include "tests/support/expect_error.h"
#include "tests/support/sanitized.h"
#include "tokenizer/chat_inputs.h"
#include "tokenizer/chat_template.h"

namespace llm {
namespace {

std::string times(const std::string& text, size_t count) {
  std::string result;
  for (size_t i = 0; i < count; ++i) result += text;
  return result;
}

double processor_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

long peak_kilobytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

long peak_before = 0;  // of the process, when the first of these tests began

/// Refused with exit code 3 and "chat_template <message>" in under a second.
void expect_refused(const std::string& source, const std::string& message) {
  const double start = processor_seconds();
  ChatInputs inputs;
  inputs.messages = {{{"role", "user"}, {"content", "hello"}}};
  expect_error([&] { ChatTemplate::parse(source).render(inputs); }, Exit::bad_input,
               "chat_template " + message);
  if (test::kSanitized) return;
  EXPECT_LT(processor_seconds() - start, 1.0) << message << ": " << source.substr(0, 100);
}

constexpr const char* kTooDeep = "line 1: nesting deeper than 100";
constexpr const char* kTooLong = "line 1: makes a text of more than 8388608 bytes";
constexpr const char* kTooMany = "line 1: makes lists of more than 1000000 elements";

TEST(HostileTemplates, NestingOfTheSource) {
  peak_before = peak_kilobytes();
  expect_refused("{{ " + times("(", 100'000) + "1" + times(")", 100'000) + " }}", kTooDeep);
  expect_refused("{{ " + times("[", 100'000) + times("]", 100'000) + " }}", kTooDeep);
  expect_refused("{{ " + times("not ", 100'000) + "1 }}", kTooDeep);
  expect_refused("{{ " + times("-", 100'000) + "1 }}", kTooDeep);
  expect_refused("{{ 1" + times("|abs", 100'000) + " }}", kTooDeep);
  expect_refused("{{ 1" + times("+1", 100'000) + " }}", kTooDeep);
  expect_refused("{{ x" + times(".x", 100'000) + " }}", kTooDeep);
  expect_refused("{{ x" + times("()", 100'000) + " }}", kTooDeep);
  expect_refused("{{ 2" + times("**2", 100'000) + " }}", kTooDeep);
  expect_refused("{{ 1" + times(" if 1 else 1", 40'000) + " }}", kTooDeep);
  expect_refused(times("{% if 1 %}", 20'000) + times("{% endif %}", 20'000), kTooDeep);
  expect_refused(times("{% for i in x %}", 20'000), kTooDeep);
  expect_refused(times("{% generation %}", 20'000), kTooDeep);
}

TEST(HostileTemplates, SizeOfTheSource) {
  expect_refused(std::string(524'289, ' '), "line 1: the template is larger than 524288 bytes");
  ChatTemplate::parse(std::string(524'288, ' '));
}

TEST(HostileTemplates, LoopsWithoutEnd) {
  if (test::kSanitized) GTEST_SKIP() << "this build is slow and large";
  expect_refused("{% for i in range(10**9) %}{% endfor %}", "line 1: range is longer than 100000");
  expect_refused("{{ range(-9223372036854775807, 9223372036854775807) }}",
                 "line 1: range is longer than 100000");
  expect_refused("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
                 kTooMany);
  expect_refused("\n\n{% for c in 'x' * 8000000 %}{% endfor %}",
                 "line 3: makes lists of more than 1000000 elements");
  expect_refused("{% for i in range(99999) %}{% set x = range(99999)|unique|list %}{% endfor %}",
                 "line 1: takes more than 4000000 steps");
}

TEST(HostileTemplates, MacrosThatCallThemselves) {
  expect_refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
                 "line 1: calls itself too often");
  expect_refused(
      "{% macro g() %}{{ f() }}{% endmacro %}{% macro f() %}{{ g() }}{% endmacro %}{{ f() }}",
      "line 1: calls itself too often");
  expect_refused(
      "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}"
      "{% call f() %}x{% endcall %}",
      "line 1: calls itself too often");
  if (test::kSanitized) return;  // so slow that the clock ends it first
  expect_refused(
      "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
      kTooMany);
}

TEST(HostileTemplates, TextsWithoutEnd) {
  expect_refused("{{ 'a' * 10**9 }}", kTooLong);
  expect_refused("{{ 'ab' * 9223372036854775807 }}", kTooLong);
  expect_refused(
      "{% set ns = namespace(s='a') %}{% for i in range(99) %}"
      "{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      kTooLong);
  expect_refused("{% set a = 'a' * 4000 %}{{ a.replace('a', a) }}", kTooLong);
  expect_refused("{% set a = 'a' * 100000 %}{{ a|list|join(a) }}", kTooLong);
  expect_refused("{{ 'x'|center(10**9) }}", kTooLong);
  expect_refused("{{ '%1000000000d' % 1 }}", "line 1: a width in a format is larger than 1000");
  expect_refused("{{ [1]|tojson(indent=10**9) }}", "line 1: tojson: the indent is wider than 100");
  expect_refused("{{ strftime_now('%999999999d') }}",
                 "line 1: strftime_now cannot write this format");
}

TEST(HostileTemplates, MemoryHeldInManyPlaces) {
  if (test::kSanitized) GTEST_SKIP() << "this build is slow and large";
  const std::string x = "{% set x = 'a' * 8000000 %}";
  expect_refused(
      x + "{% macro f(n) %}{{ x }}{% if n %}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(99) }}",
      kTooLong);
  expect_refused(x + times("{% set y %}{{ x }}", 90) + times("{% endset %}", 90), kTooLong);
  expect_refused(x + "{% macro f(n) %}{{ x ~ (f(n-1) if n else '') }}{% endmacro %}{{ f(99) }}",
                 kTooLong);
  expect_refused(
      "{% set ns = namespace(l=[]) %}{% for i in range(99) %}"
      "{% set ns.l = ns.l + ['a' * 1000000] %}{% endfor %}",
      "line 1: holds more than 33554432 bytes of text");
  expect_refused("{{ [1] * 10**9 }}", kTooMany);
  expect_refused("{{ [1]|batch(10**9, 'x')|list }}", kTooMany);
  expect_refused(
      "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}"
      "{% set ns.s = ns.s + ns.s %}{% endfor %}",
      kTooMany);
}

TEST(HostileTemplates, ValuesThatHoldThemselvesManyTimes) {
  const std::string grow =
      "{% set ns = namespace(a=[1]) %}{% for i in range(90) %}"
      "{% set ns.a = [ns.a, ns.a] %}{% endfor %}";
  expect_refused(grow + "{{ ns.a }}", kTooLong);
  expect_refused(grow + "{{ ns.a|tojson }}", kTooLong);
  expect_refused(
      "{% set ns = namespace(a=[1], b=[1]) %}{% for i in range(90) %}"
      "{% set ns.a = [ns.a, ns.a] %}{% set ns.b = [ns.b, ns.b] %}{% endfor %}"
      "{{ ns.a == ns.b }}",
      "line 1: takes more than 4000000 steps");
  expect_refused(
      "{% set ns = namespace(l=[]) %}{% for i in range(999) %}"
      "{% set ns.l = [ns.l] %}{% endfor %}",
      "line 1: nests values deeper than 100");
  expect_refused("{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
                 "line 1: Namespace cannot be printed");
}

TEST(HostileTemplates, WayOutOfTheSandbox) {
  const char* kClass = "line 1: the attribute '__class__' of str is out of reach";
  expect_refused("{{ ''.__class__.__mro__[1].__subclasses__() }}", kClass);
  expect_refused("{{ ''['__class__'] }}", kClass);
  expect_refused("{{ ''|attr('__class__') }}", kClass);
  expect_refused("{{ ['']|map(attribute='__class__')|list }}", kClass);
  expect_refused("{{ cycler.__init__.__globals__.os.popen('id').read() }}",
                 "line 1: 'cycler' is undefined");
  expect_refused("{{ self.__init__.__globals__ }}", "line 1: 'self' is undefined");
  expect_refused(
      "{{ '{0.__class__}'.format(1) }}",
      "line 1: format: the field '{0.__class__}' is not supported, only {}, {0} and {name}");
  expect_refused("{{ namespace(__class__=1) }}",
                 "line 1: '__class__' cannot be a name in a namespace");
  for (const char* tag : {"include '/etc/passwd'", "import 'os' as os", "extends 'x'"}) {
    const std::string word = std::string(tag).substr(0, std::string(tag).find(' '));
    expect_refused("{% " + std::string(tag) + " %}",
                   "line 1: the tag '" + word + "' is not supported in a chat template");
  }
  expect_refused("{% set l = [] %}{{ l.append(l) }}",
                 "line 1: list.append() would change a value, which a template may not");
}

TEST(HostileTemplates, NumbersBeyondTheMachine) {
  const char* kTooLarge = "line 1: a whole number does not fit 64 bits";
  expect_refused("{{ 10**10**10 }}", kTooLarge);
  expect_refused("{{ 9223372036854775807 + 1 }}", kTooLarge);
  expect_refused("{{ (-9223372036854775807 - 1) // -1 }}", kTooLarge);
  expect_refused("{{ 1 // 0 }}", "line 1: division by zero");
  expect_refused("{{ '99999999999999999999'|int }}",
                 "line 1: int: the number does not fit 64 bits");
  expect_refused("{{ 'x'[::0] }}", "line 1: a slice cannot have the step 0");
}

TEST(HostileTemplates, SlowTextWork) {
  if (test::kSanitized) GTEST_SKIP() << "this build is slow and large";
  for (const char* step : {"a.title()", "a|title", "a|e", "a.replace('a', 'b')", "a|tojson",
                           "a[::-1]", "a|indent(1)", "'a' * 1000000"}) {
    const double start = processor_seconds();
    const std::string source = std::string(
                                   "{% set a = 'a ' * 2000000 %}{% for i in range(99999) %}"
                                   "{% set b = ") +
                               step + " %}{% endfor %}";
    expect_error_with([&] { ChatTemplate::parse(source).render({}); }, Exit::bad_input,
                      "chat_template line 1: ");
    EXPECT_LT(processor_seconds() - start, 1.0) << step;
  }
}

TEST(HostileTemplates, WhatATemplateSaysStaysOneLine) {
  expect_refused("{{ raise_exception('no\nway\x1b[31m') }}",
                 "line 1: the template refuses: no way [31m");
  expect_refused("{{ raise_exception('a' * 1000) }}",
                 "line 1: the template refuses: " + std::string(500, 'a'));
  expect_error([] { ChatTemplate::parse("{{ '\xff' }}"); }, Exit::bad_input,
               "chat_template: invalid UTF-8 at byte 4");
}

TEST(HostileTemplates, BrokenSyntaxNamesItsLine) {
  expect_refused("a\nb\n{% endfor %}", "line 3: unexpected 'endfor'");
  expect_refused("{{ 'a", "line 1: a string does not end");
  expect_refused("\n{# a", "line 2: a comment does not end");
  expect_refused("{% for x in y %}",
                 "line 1: the block that starts here does not end: 'endfor' or 'else' is missing");
  expect_refused("{{ x|shout }}", "line 1: no filter named 'shout'");
  expect_refused("{{ x is loud }}", "line 1: no test named 'loud'");
  expect_refused("{% break %}", "line 1: 'break' outside a loop");
}

TEST(HostileTemplates, ALongChatIsNoAttack) {
  ChatInputs inputs;
  for (int i = 0; i < 4000; ++i) {
    inputs.messages.push_back(
        {{"role", i % 2 ? "assistant" : "user"}, {"content", times("twelve bytes", 100)}});
  }
  const RenderedChat chat =
      ChatTemplate::parse(
          "{% for m in messages %}{{ '<|' ~ m.role ~ '|>' }}{{ m.content|trim }}\n"
          "{% endfor %}")
          .render(inputs);
  EXPECT_EQ(chat.text.size(), 2000u * (8 + 1200 + 1) + 2000u * (13 + 1200 + 1));
}

TEST(HostileTemplates, AllOfThemStayBelowAHundredMegabytes) {
  if (test::kSanitized) GTEST_SKIP() << "this build is slow and large";
  EXPECT_LT(peak_kilobytes() - peak_before, 100 * 1000);
}

}  // namespace
}  // namespace llm
