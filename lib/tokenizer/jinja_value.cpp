#include "tokenizer/jinja_value.h"

#include <time.h>

#include <fmt/format.h>

#include <algorithm>

#include "tokenizer/jinja_operators.h"

namespace llm::jinja {

void problem(std::string message) { throw Problem{std::move(message)}; }

Value Value::none() {
  Value value;
  value.kind = Kind::none;
  return value;
}

Value Value::of(bool b) {
  Value value;
  value.kind = Kind::boolean;
  value.integer = b;
  value.boolean = b;
  return value;
}

Value Value::of(int64_t i) {
  Value value;
  value.kind = Kind::integer;
  value.integer = i;
  return value;
}

Value Value::of(double d) {
  Value value;
  value.kind = Kind::real;
  value.real = d;
  return value;
}

Value Value::of(Kind kind, Object* object) {
  Value value;
  value.kind = kind;
  value.object = object;
  return value;
}

Value Value::undefined(std::string message) {
  Value value;
  value.text = std::make_shared<const Text>(std::move(message));
  return value;
}

Value Value::constant(std::string text) {
  Value value;
  value.kind = Kind::text;
  value.text = std::make_shared<const Text>(std::move(text));
  return value;
}

List& Value::list() const { return static_cast<List&>(*object); }
Dict& Value::dict() const { return static_cast<Dict&>(*object); }
Loop& Value::loop() const { return static_cast<Loop&>(*object); }
Function& Value::function() const { return static_cast<Function&>(*object); }

double Value::number() const { return kind == Kind::real ? real : static_cast<double>(whole()); }

int64_t Value::whole() const { return kind == Kind::boolean ? boolean : integer; }

// ---- dictionaries

const Value* Dict::find(std::string_view key) const {
  const auto entry = index_.find(key);
  return entry == index_.end() ? nullptr : &entries[entry->second].second;
}

const Value* Dict::find(const Value& key) const {
  if (key.is(Kind::text)) return find(key.str());
  if (index_.size() == entries.size()) return nullptr;
  for (const auto& [other, value] : entries) {
    if (!other.is(Kind::text) && equal_scalars(other, key)) return &value;
  }
  return nullptr;
}

void Dict::set(const Value& key, Value value) {
  if (const Value* old = find(key)) {
    *const_cast<Value*>(old) = std::move(value);
    return;
  }
  entries.emplace_back(key, std::move(value));
  if (key.is(Kind::text)) index_.emplace(entries.back().first.str(), entries.size() - 1);
}

// ---- arguments

std::vector<const Value*> Arguments::bind(
    std::string_view function, std::initializer_list<std::string_view> parameters) const {
  std::vector<const Value*> bound(parameters.size(), nullptr);
  if (positional.size() > bound.size()) {
    problem(fmt::format("{} takes at most {} arguments, {} were given", function, bound.size(),
                        positional.size()));
  }
  for (size_t i = 0; i < positional.size(); ++i) bound[i] = &positional[i];
  for (const auto& [name, value] : named) {
    const auto place = std::find(parameters.begin(), parameters.end(), name);
    if (place == parameters.end()) problem(fmt::format("{} has no argument '{}'", function, name));
    const Value*& slot = bound[static_cast<size_t>(place - parameters.begin())];
    if (slot) problem(fmt::format("{} got '{}' twice", function, name));
    slot = &value;
  }
  return bound;
}

// ---- the heap

namespace {

/// A machine that is busy with other things makes no template fail.
double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

Heap::Heap(const Limits& limits) : limits_(limits), start_(thread_seconds()) {}

void Heap::check_clock() {
  next_look_ = steps_ + 4096;
  next_work_look_ = work_ + (4u << 20);
  if (thread_seconds() - start_ > limits_.seconds) {
    problem(fmt::format("takes longer than {} seconds", limits_.seconds));
  }
}

void Heap::step(uint64_t count) {
  steps_ += count;
  if (steps_ > limits_.steps) problem(fmt::format("takes more than {} steps", limits_.steps));
  if (steps_ >= next_look_) check_clock();
}

void Heap::work(uint64_t bytes) {
  work_ += bytes;
  if (work_ > limits_.work) {
    problem(fmt::format("works through more than {} bytes of text", limits_.work));
  }
  if (work_ >= next_work_look_) check_clock();
}

void Heap::take_cells(size_t count) {
  cells_ += count;
  if (count > limits_.cells || cells_ > limits_.cells) {
    problem(fmt::format("makes lists of more than {} elements", limits_.cells));
  }
  step(count / 16);
}

void Heap::expect_room(uint64_t bytes) {
  expect_size(bytes);
  work(bytes);
}

void Heap::expect_size(uint64_t bytes) const {
  if (bytes > limits_.text_bytes) {
    problem(fmt::format("makes a text of more than {} bytes", limits_.text_bytes));
  }
  if (live_ + bytes > limits_.live_bytes) {
    problem(fmt::format("holds more than {} bytes of text", limits_.live_bytes));
  }
}

Value Heap::text(Text content) {
  constexpr size_t kOverhead = 64;
  expect_room(content.size());
  const size_t cost = content.bytes.size() + content.marks.size() + kOverhead;
  live_ += cost;
  Value value;
  value.kind = Kind::text;
  value.text =
      std::shared_ptr<const Text>(new Text(std::move(content)), [this, cost](const Text* text) {
        live_ -= cost;
        delete text;
      });
  return value;
}

template <typename T>
T* Heap::make() {
  take_cells(4);
  auto object = std::make_unique<T>();
  T* result = object.get();
  objects_.push_back(std::move(object));
  return result;
}

namespace {

int nesting_of(const Value& value) {
  if (value.is(Kind::list)) return value.list().nesting;
  return value.is(Kind::dict) ? value.dict().nesting : 0;
}

}  // namespace

Value Heap::list(std::vector<Value> items, ListForm form) {
  take_cells(items.size());
  List* list = make<List>();
  for (const Value& item : items) list->nesting = std::max(list->nesting, nesting_of(item) + 1);
  if (list->nesting > limits_.nesting) {
    problem(fmt::format("nests values deeper than {}", limits_.nesting));
  }
  list->items = std::move(items);
  list->form = form;
  return Value::of(Kind::list, list);
}

Value Heap::dict() { return Value::of(Kind::dict, make<Dict>()); }

void Heap::set(Dict& dict, const Value& key, Value value) {
  switch (key.kind) {
    case Kind::list:
    case Kind::dict:
      problem(fmt::format("a {} cannot be a key", type_name(key)));
    case Kind::undefined:
      defined(key);
    default:
      break;
  }
  take_cells(4);
  if (!key.is(Kind::text)) step(dict.entries.size() / 4);  // these are looked for one by one
  dict.nesting = std::max(dict.nesting, std::max(nesting_of(key), nesting_of(value)) + 1);
  if (dict.nesting > limits_.nesting) {
    problem(fmt::format("nests values deeper than {}", limits_.nesting));
  }
  dict.set(key, std::move(value));
}

Value Heap::function(std::string name, std::function<Value(Interpreter&, const Arguments&)> call) {
  Function* function = make<Function>();
  function->name = std::move(name);
  function->call = std::move(call);
  return Value::of(Kind::function, function);
}

Loop* Heap::loop() { return make<Loop>(); }

// ---- Python's view of a value

const char* type_name(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::text:
      return "str";
    case Kind::list:
      switch (value.list().form) {
        case ListForm::list:
          return "list";
        case ListForm::tuple:
          return "tuple";
        case ListForm::range:
          return "range";
        case ListForm::generator:
          return "generator";
      }
      return "list";
    case Kind::dict:
      return "dict";
    case Kind::name_space:
      return "Namespace";
    case Kind::loop:
      return "LoopContext";
    case Kind::function:
      return "function";
  }
  return "object";
}

bool is_true(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean;
    case Kind::integer:
      return value.integer != 0;
    case Kind::real:
      return value.real != 0;
    case Kind::text:
      return !value.str().empty();
    case Kind::list:
      return value.list().form == ListForm::generator || !value.list().items.empty();
    case Kind::dict:
      return !value.dict().entries.empty();
    default:
      return true;
  }
}

const Value& defined(const Value& value) {
  if (value.is(Kind::undefined)) problem(value.text ? value.str() : "a value is undefined");
  return value;
}

}  // namespace llm::jinja
