// What the names of a pickle mean; the machine itself is in pickle_machine.cpp.
#include "model/unpickler.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "base/error.h"
#include "model/pickle_machine.h"

namespace llm {
namespace {

using Kind = PickleValue::Kind;
using Meaning = PickleName::Meaning;

constexpr size_t kMaxPickleBytes = size_t{64} << 20, kMaxValues = 2'000'000,
                 kMaxTensorDimensions = 8;

constexpr std::array<PickleName, 18> kNames = {{
    {"collections", "OrderedDict", Meaning::ordered_dictionary, 0, ""},
    {"torch._utils", "_rebuild_tensor", Meaning::rebuild_tensor, 4, ""},
    {"torch._utils", "_rebuild_tensor_v2", Meaning::rebuild_tensor, 6, ""},
    {"torch._utils", "_rebuild_tensor_v3", Meaning::rebuild_tensor, 7, ""},
    {"torch._utils", "_rebuild_parameter", Meaning::rebuild_parameter, 3, ""},
    {"torch", "DoubleStorage", Meaning::storage_type, 0, "F64"},
    {"torch", "FloatStorage", Meaning::storage_type, 0, "F32"},
    {"torch", "HalfStorage", Meaning::storage_type, 0, "F16"},
    {"torch", "BFloat16Storage", Meaning::storage_type, 0, "BF16"},
    {"torch", "LongStorage", Meaning::storage_type, 0, "I64"},
    {"torch", "IntStorage", Meaning::storage_type, 0, "I32"},
    {"torch", "ShortStorage", Meaning::storage_type, 0, "I16"},
    {"torch", "CharStorage", Meaning::storage_type, 0, "I8"},
    {"torch", "ByteStorage", Meaning::storage_type, 0, "U8"},
    {"torch", "BoolStorage", Meaning::storage_type, 0, "BOOL"},
    {"torch.storage", "UntypedStorage", Meaning::storage_type, 0, ""},
    {"torch", "float8_e4m3fn", Meaning::tensor_type, 0, "F8_E4M3"},
    {"torch", "float8_e5m2", Meaning::tensor_type, 0, "F8_E5M2"},
}};

// The largest element that the tensor reaches plus one; 0 for an empty tensor. Nothing on overflow.
bool reach(const PickledTensor& tensor, int64_t& elements, int64_t& end) {
  elements = 1;
  int64_t last = tensor.offset;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    int64_t step = 0;
    if (tensor.shape[i] < 0 || tensor.strides[i] < 0 ||
        __builtin_mul_overflow(elements, tensor.shape[i], &elements) ||
        __builtin_mul_overflow(std::max<int64_t>(tensor.shape[i] - 1, 0), tensor.strides[i],
                               &step) ||
        __builtin_add_overflow(last, step, &last)) {
      return false;
    }
  }
  end = elements == 0 ? 0 : last;
  return tensor.offset >= 0 && (elements == 0 || !__builtin_add_overflow(last, 1, &end));
}

}  // namespace

void refuse_pickle(const std::string& source_name, const std::string& what) {
  fail(Exit::bad_input,
       fmt::format("{}: PyTorch pickle files are not loaded (they can run code){}{}", source_name,
                   what.empty() ? "" : "; ", what),
       "save the model as safetensors: model.save_pretrained(DIR, safe_serialization=True)");
}

const PickleName* find_pickle_name(std::string_view module, std::string_view name) {
  for (const PickleName& known : kNames) {
    if (known.module == module && known.name == name) {
      return &known;
    }
  }
  return nullptr;
}

const PickleName& pickle_name(int64_t row) { return kNames[static_cast<size_t>(row)]; }

Unpickler::Unpickler(std::span<const std::byte> bytes, std::string source_name)
    : bytes_(bytes), source_(std::move(source_name)) {}

const PickleValue& Unpickler::load() {
  const size_t start = at_;
  const std::span<const std::byte> all = bytes_;
  bytes_ = bytes_.first(std::min(bytes_.size(), start + kMaxPickleBytes));
  const uint32_t result = PickleMachine(*this).run();
  bytes_ = all;
  return values_[result];
}

uint32_t Unpickler::add(PickleValue value) {
  if (values_.size() >= kMaxValues) {
    damaged(fmt::format("more than {} values", kMaxValues));
  }
  values_.push_back(std::move(value));
  return static_cast<uint32_t>(values_.size() - 1);
}

void Unpickler::damaged(const std::string& rule) const {
  fail(Exit::bad_input, fmt::format("{}: damaged pickle (byte {}): {}", source_, at_, rule));
}

int64_t PickleMachine::integer(uint32_t index, const char* what) {
  const PickleValue& value = at(index);
  if (value.kind != Kind::integer) {
    u_.damaged(fmt::format("{} is not a whole number", what));
  }
  return value.number;
}

std::vector<int64_t> PickleMachine::integers(uint32_t index, const char* what) {
  const PickleValue& value = at(index);
  if (value.kind != Kind::tuple || value.items.size() > kMaxTensorDimensions) {
    u_.damaged(fmt::format("{} is not a list of at most {} numbers", what, kMaxTensorDimensions));
  }
  std::vector<int64_t> numbers;
  for (const uint32_t item : value.items) {
    numbers.push_back(integer(item, what));
  }
  return numbers;
}

// ('storage', type, key, location, elements): PyTorch's only persistent id. Older files add None.
void PickleMachine::push_storage(uint32_t arguments) {
  const std::vector<uint32_t>& items = at(arguments).items;
  const auto kind = [&](size_t i) { return at(items[i]).kind; };
  if (at(arguments).kind != Kind::tuple || items.size() < 5 || items.size() > 6 ||
      kind(0) != Kind::text || at(items[0]).text != "storage" || kind(1) != Kind::name ||
      pickle_name(at(items[1]).number).meaning != Meaning::storage_type || kind(2) != Kind::text ||
      (items.size() == 6 && kind(5) != Kind::none)) {
    u_.damaged("a persistent id that is no storage");
  }
  const PickledStorage storage{at(items[2]).text, pickle_name(at(items[1]).number).dtype,
                               integer(items[4], "a storage's length")};
  if (storage.elements < 0) {
    u_.damaged("a storage's length is negative");
  }
  const auto [found, is_new] = u_.storage_index_.emplace(storage.key, u_.storages_.size());
  if (is_new) {
    u_.storages_.push_back(storage);
  } else if (const PickledStorage& first = u_.storages_[found->second];
             first.dtype != storage.dtype || first.elements != storage.elements) {
    u_.damaged("a storage is described in two ways");
  }
  push({Kind::storage, static_cast<int64_t>(found->second)});
}

void PickleMachine::reduce() {
  const uint32_t arguments = pop(), function = pop();
  if (at(function).kind != Kind::name || at(arguments).kind != Kind::tuple ||
      at(arguments).items.size() > 8) {
    u_.damaged("a call of something that is no function");
  }
  const PickleName& name = pickle_name(at(function).number);
  const std::vector<uint32_t> items = at(arguments).items;
  switch (name.meaning) {
    case Meaning::ordered_dictionary:
      push({Kind::dictionary});
      if (items.size() == 1) {
        fill_dictionary(top(), items[0]);
      } else if (!items.empty()) {
        u_.damaged("OrderedDict takes one list");
      }
      return;
    case Meaning::rebuild_tensor:
      rebuild_tensor(name, items);
      return;
    case Meaning::rebuild_parameter:
      if (items.size() != 3 || at(items[0]).kind != Kind::tensor) {
        u_.damaged("_rebuild_parameter takes a tensor and two flags");
      }
      push_index(items[0]);
      return;
    case Meaning::storage_type:
    case Meaning::tensor_type:
      break;
  }
  refuse_pickle(u_.source_, fmt::format("this one calls {}.{}", name.module, name.name));
}

void PickleMachine::fill_dictionary(uint32_t dictionary, uint32_t pairs) {
  if (at(pairs).kind != Kind::list) {
    u_.damaged("OrderedDict takes one list");
  }
  u_.pairs_ += at(pairs).items.size();  // the same list may be given again and again
  if (u_.pairs_ > kMaxValues) {
    u_.damaged(fmt::format("more than {} values", kMaxValues));
  }
  std::vector<uint32_t> items;
  for (const uint32_t pair : at(pairs).items) {
    if ((at(pair).kind != Kind::tuple && at(pair).kind != Kind::list) ||
        at(pair).items.size() != 2) {
      u_.damaged("OrderedDict takes pairs");
    }
    items.insert(items.end(), at(pair).items.begin(), at(pair).items.end());
  }
  at(dictionary).items = std::move(items);
}

// (storage, offset, shape, strides[, requires_grad, backward_hooks[, dtype of _v3]]).
void PickleMachine::rebuild_tensor(const PickleName& function,
                                   const std::vector<uint32_t>& arguments) {
  const bool typed = function.arguments == 7;
  if (arguments.size() < static_cast<size_t>(function.arguments) || arguments.size() > 8 ||
      at(arguments[0]).kind != Kind::storage ||
      (typed && (at(arguments[6]).kind != Kind::name ||
                 pickle_name(at(arguments[6]).number).meaning != Meaning::tensor_type))) {
    u_.damaged("a tensor's description is incomplete");
  }
  PickledTensor tensor;
  tensor.storage = static_cast<size_t>(at(arguments[0]).number);
  const PickledStorage& storage = u_.storages_[tensor.storage];
  tensor.dtype = typed ? pickle_name(at(arguments[6]).number).dtype : storage.dtype;
  if (typed != storage.dtype.empty()) {
    u_.damaged("a tensor and its storage do not fit");
  }
  tensor.offset = integer(arguments[1], "a tensor's offset");
  tensor.shape = integers(arguments[2], "a tensor's shape");
  tensor.strides = integers(arguments[3], "a tensor's strides");
  int64_t elements = 0, end = 0;
  if (tensor.shape.size() != tensor.strides.size() || !reach(tensor, elements, end) ||
      end > storage.elements || elements > storage.elements) {
    u_.damaged(
        fmt::format("a tensor reaches outside its storage of {} elements", storage.elements));
  }
  u_.tensors_.push_back(std::move(tensor));
  push({Kind::tensor, static_cast<int64_t>(u_.tensors_.size()) - 1});
}

// A state dictionary carries its modules' versions as attributes: they say nothing about tensors.
void PickleMachine::build() {
  pop();
  if (at(top()).kind != Kind::dictionary) {
    refuse_pickle(u_.source_, "this one sets the state of an object");
  }
}

}  // namespace llm
