// The values of a template: Python's, as far as chat templates can see them.
//
// Lists, dictionaries and functions live in a Heap for the time of one rendering and are freed
// together, so cycles and deep nesting cost nothing; strings are shared. The Heap also counts what
// a rendering uses and ends it with a Problem when a limit is reached. Not thread-safe: one Heap
// per rendering.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/jinja_text.h"

namespace llm::jinja {

/// Something wrong in the template or with what it does; whoever knows the line turns it into an
/// Error.
struct Problem {
  std::string message;
  bool by_template = false;  // raise_exception
};
[[noreturn]] void problem(std::string message);

/// What a rendering may use; reached by no template in use, and together less than a second and 100
/// MB.
struct Limits {
  uint64_t steps = 4'000'000;         // expressions and loop passes
  uint64_t work = uint64_t{1} << 30;  // bytes of strings looked at or copied
  size_t text_bytes = 8u << 20;       // of one string, and of the result
  size_t live_bytes = 32u << 20;      // of all strings at a time
  size_t cells = 1'000'000;           // elements of lists and dictionaries
  int nesting = 100;                  // of values
  int calls = 1000;                   // expressions and statements inside each other
  double seconds = 0.8;               // of this thread's processor time
};

enum class Kind : uint8_t {
  undefined,
  none,
  boolean,
  integer,
  real,
  text,
  list,
  dict,
  name_space,
  loop,
  function
};

struct List;
struct Dict;
struct Loop;
struct Function;
struct Object {
  virtual ~Object() = default;
};

struct Value {
  Kind kind = Kind::undefined;
  union {
    bool boolean;
    int64_t integer = 0;
    double real;
    Object* object;
  };
  std::shared_ptr<const Text> text;  // undefined: what to say when it is used

  Value() = default;
  static Value none();
  static Value of(bool value);
  static Value of(int64_t value);
  static Value of(double value);
  static Value of(Kind kind, Object* object);
  static Value undefined(std::string message);
  /// A constant of the template itself, counted nowhere.
  static Value constant(std::string text);

  bool is(Kind other) const { return kind == other; }
  bool is_number() const {
    return kind == Kind::integer || kind == Kind::real || kind == Kind::boolean;
  }
  const std::string& str() const { return text->bytes; }
  List& list() const;
  Dict& dict() const;  // of a dictionary or a namespace
  Loop& loop() const;
  Function& function() const;
  double number() const;  // of a number
  int64_t whole() const;  // of an integer or boolean
};

enum class ListForm : uint8_t { list, tuple, range, generator };
struct List : Object {
  std::vector<Value> items;
  ListForm form = ListForm::list;
  bool user = false;  // given by the user, not made by the template
  int nesting = 1;
};

/// Keeps the order of insertion, as Python does.
struct Dict : Object {
  std::vector<std::pair<Value, Value>> entries;
  bool user = false;
  int nesting = 1;

  const Value* find(std::string_view key) const;
  const Value* find(const Value& key) const;
  void set(const Value& key, Value value);

 private:
  std::unordered_map<std::string_view, size_t> index_;  // of text keys, into entries
};

/// The variable `loop`.
struct Loop : Object {
  const std::vector<Value>* items = nullptr;
  size_t index0 = 0;
  int64_t depth0 = 0;
  bool has_changed_value = false;
  Value changed_value;
};

/// Arguments of a call, taken by name or place.
class Arguments {
 public:
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  /// The values for these parameters in order; null where not given. Complains about what is left.
  std::vector<const Value*> bind(std::string_view function,
                                 std::initializer_list<std::string_view> parameters) const;
};

class Interpreter;
struct Function : Object {
  std::string name;
  std::function<Value(Interpreter&, const Arguments&)> call;
};

class Heap {
 public:
  explicit Heap(const Limits& limits);
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  Value text(Text content);
  Value text(std::string content) { return text(Text(std::move(content))); }
  /// Throws if a string of this size would be too long; call it before building one.
  void expect_room(uint64_t bytes);
  /// The same for one that grows: nothing is counted as work.
  void expect_size(uint64_t bytes) const;
  Value list(std::vector<Value> items, ListForm form = ListForm::list);
  Value tuple(std::vector<Value> items) { return list(std::move(items), ListForm::tuple); }
  Value dict();
  void set(Dict& dict, const Value& key, Value value);
  Value function(std::string name, std::function<Value(Interpreter&, const Arguments&)> call);
  Loop* loop();

  void step(uint64_t count = 1);
  void work(uint64_t bytes);
  /// Work that looks at every character: methods, filters, quoting.
  void careful_work(uint64_t bytes) { work(16 * bytes); }
  void take_cells(size_t count);
  const Limits& limits() const { return limits_; }

 private:
  template <typename T>
  T* make();
  void check_clock();

  Limits limits_;
  uint64_t steps_ = 0, work_ = 0;
  uint64_t next_look_ = 0, next_work_look_ = 0;
  size_t live_ = 0, cells_ = 0;
  double start_;  // seconds of processor time
  std::vector<std::unique_ptr<Object>> objects_;
};

/// The name Python gives the type: 'str', 'NoneType'.
const char* type_name(const Value& value);
/// bool(value).
bool is_true(const Value& value);
/// Throws if the value is undefined.
const Value& defined(const Value& value);

}  // namespace llm::jinja
