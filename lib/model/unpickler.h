// Reads the pickles of PyTorch's .bin files without running anything: the one place that knows the
// pickle format (https://docs.python.org/3/library/pickletools.html).
//
// A pickle is a program for a stack machine that may import any name and call it. This machine
// knows the names in the list below and nothing else: it never imports, never calls, and what it
// builds are plain records. Any other name, call or opcode is Error(bad_input) that names it.
//
//   collections.OrderedDict                                  an empty or a filled dictionary
//   torch._utils._rebuild_tensor(_v2, _v3), _rebuild_parameter  a PickledTensor
//   torch.FloatStorage, ..., torch.storage.UntypedStorage    the type of a storage
//   torch.float8_e4m3fn, torch.float8_e5m2                   the type of a _v3 tensor
//
// Limits: 64 MiB of pickle, 2,000,000 values, 1,000,000 on the stack, 8 dimensions, names of 4096
// bytes. Values live in one list and refer to each other by number, so that neither depth nor
// cycles matter. No LibTorch here: the fuzz target builds in seconds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace llm {

/// Refuses a file of PyTorch's that would need code to be run: "<file>: PyTorch pickle files are
/// not loaded (they can run code)<; what>", with the hint how to convert it.
[[noreturn]] void refuse_pickle(const std::string& source_name, const std::string& what = {});

struct PickledStorage {
  std::string_view key;    // names the storage's bytes
  std::string_view dtype;  // as safetensors writes it; "" untyped bytes
  int64_t elements = 0;    // bytes where untyped
};

struct PickledTensor {
  size_t storage = 0;      // index into storages()
  std::string_view dtype;  // "F32"
  int64_t offset = 0;      // in elements; with shape and strides inside the storage, checked
  std::vector<int64_t> shape, strides;
};

struct PickleValue {
  enum class Kind {
    none,
    boolean,
    integer,
    long_integer,  // more than 64 bits: its little-endian bytes are in `text`
    real,          // its value is not kept
    text,
    tuple,
    list,
    dictionary,
    name,
    storage,
    tensor
  };
  Kind kind = Kind::none;
  int64_t number = 0;  // boolean, integer; storage, tensor: its index; name: its row in the list
  std::string_view text = {};        // in the pickle's bytes
  std::vector<uint32_t> items = {};  // tuple, list; dictionary: key, value, key, value
};

class Unpickler {
 public:
  Unpickler(std::span<const std::byte> bytes, std::string source_name);

  /// The next pickle of the stream, up to its STOP.
  const PickleValue& load();
  /// Bytes read so far.
  size_t position() const { return at_; }

  const PickleValue& value(uint32_t index) const { return values_[index]; }
  const std::vector<PickledStorage>& storages() const { return storages_; }
  const std::vector<PickledTensor>& tensors() const { return tensors_; }

  [[noreturn]] void damaged(const std::string& rule) const;

 private:
  friend class PickleMachine;

  uint32_t add(PickleValue value);

  std::span<const std::byte> bytes_;
  std::string source_;
  size_t at_ = 0;
  size_t pairs_ = 0;  // copied from lists into dictionaries
  std::deque<PickleValue> values_;
  std::vector<PickledStorage> storages_;
  std::vector<PickledTensor> tensors_;
  std::unordered_map<std::string_view, size_t> storage_index_;
};

/// What a name of the list above stands for.
struct PickleName {
  enum class Meaning {
    ordered_dictionary,
    rebuild_tensor,
    rebuild_parameter,
    storage_type,
    tensor_type
  };
  std::string_view module, name;
  Meaning meaning;
  int arguments;           // of a rebuild function: as many at least
  std::string_view dtype;  // of a type
};
/// The row of the list, or nothing.
const PickleName* find_pickle_name(std::string_view module, std::string_view name);
const PickleName& pickle_name(int64_t row);

}  // namespace llm
