#include "model/pytorch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/wrong_content.h"
#include "model/safetensors.h"
#include "model/unpickler.h"
#include "model/zip_reader.h"

namespace llm {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMaxStateKeyBytes = 4096;

struct Extent {
  uint64_t begin = 0, size = 0;
};
/// Where each storage's bytes lie, by its key.
using StoragePlaces = std::unordered_map<std::string_view, Extent>;

uint64_t element_bytes(std::string_view dtype) {
  return dtype.empty() ? 1 : static_cast<uint64_t>(safetensors_dtype_bits(dtype)) / 8;
}

struct PytorchReader {
  std::string source;
  std::span<const std::byte> file;

  [[noreturn]] void refuse(const std::string& rule) const {
    fail(Exit::bad_input, source + ": " + rule);
  }
  std::span<const std::byte> part(const ZipEntry& entry) const {
    return file.subspan(static_cast<size_t>(entry.begin), static_cast<size_t>(entry.size));
  }
  uint64_t storage_bytes(const PickledStorage& storage) const;
  std::vector<PytorchTensor> tensors(const Unpickler& pickle, const PickleValue& state,
                                     const StoragePlaces& places) const;
  std::vector<PytorchTensor> from_archive() const;
  std::vector<PytorchTensor> from_stream() const;
  StoragePlaces places_in_stream(Unpickler& pickle) const;
};

uint64_t PytorchReader::storage_bytes(const PickledStorage& storage) const {
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<uint64_t>(storage.elements), element_bytes(storage.dtype),
                             &bytes)) {
    refuse(fmt::format("storage '{}' is too large", storage.key));
  }
  return bytes;
}

std::vector<PytorchTensor> PytorchReader::tensors(const Unpickler& pickle, const PickleValue& state,
                                                  const StoragePlaces& places) const {
  if (state.kind != Kind::dictionary) {
    refuse("holds no dictionary of tensors");
  }
  std::vector<PytorchTensor> result;
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < state.items.size(); i += 2) {
    const PickleValue &key = pickle.value(state.items[i]),
                      &value = pickle.value(state.items[i + 1]);
    if (key.kind != Kind::text || key.text.size() > kMaxStateKeyBytes) {
      refuse("a tensor's name is not a text of at most 4096 bytes");
    }
    if (value.kind != Kind::tensor) {
      refuse(fmt::format("'{}' is not a tensor", key.text));
    }
    if (!names.insert(key.text).second) {
      refuse(fmt::format("tensor '{}' is listed twice", key.text));
    }
    const PickledTensor& tensor = pickle.tensors()[static_cast<size_t>(value.number)];
    const PickledStorage& storage = pickle.storages()[tensor.storage];
    const auto place = places.find(storage.key);
    if (place == places.end()) {
      refuse(
          fmt::format("tensor '{}': its storage '{}' is not in the file", key.text, storage.key));
    }
    const uint64_t bytes = storage_bytes(storage);
    if (place->second.size != bytes) {
      refuse(fmt::format("tensor '{}': its storage needs {} bytes, has {}", key.text, bytes,
                         place->second.size));
    }
    const uint64_t offset = static_cast<uint64_t>(tensor.offset) * element_bytes(tensor.dtype);
    const bool empty = std::find(tensor.shape.begin(), tensor.shape.end(), 0) != tensor.shape.end();
    result.push_back({std::string(key.text), std::string(tensor.dtype), tensor.shape,
                      tensor.strides, place->second.begin + (empty ? 0 : offset),
                      place->second.begin + place->second.size});
  }
  return result;
}

// NAME/data.pkl, NAME/data/KEY, NAME/byteorder, NAME/version.
std::vector<PytorchTensor> PytorchReader::from_archive() const {
  const std::vector<ZipEntry> entries = read_zip(file, source);
  std::optional<ZipEntry> pickle_entry;
  for (const ZipEntry& entry : entries) {
    if (entry.name.ends_with("/data.pkl") &&
        entry.name.find('/') == entry.name.size() - std::string_view("/data.pkl").size()) {
      pickle_entry = entry;
    }
  }
  if (!pickle_entry) {
    refuse("an archive without data.pkl: not saved by torch.save");
  }
  const std::string folder(pickle_entry->name.substr(0, pickle_entry->name.find('/') + 1));
  StoragePlaces places;
  for (const ZipEntry& entry : entries) {
    if (entry.name.starts_with(folder + "data/")) {
      places.emplace(entry.name.substr(folder.size() + 5), Extent{entry.begin, entry.size});
    } else if (entry.name == folder + "byteorder") {
      const std::span<const std::byte> order = part(entry);
      if (std::string_view(reinterpret_cast<const char*>(order.data()), order.size()) != "little") {
        refuse("its numbers are not little-endian");
      }
    }
  }
  Unpickler pickle(part(*pickle_entry), source);
  const PickleValue& state = pickle.load();
  return tensors(pickle, state, places);
}

// Behind the pickles: a list of keys, then for each key its length and bytes.
StoragePlaces PytorchReader::places_in_stream(Unpickler& pickle) const {
  const PickleValue& keys = pickle.load();
  if (keys.kind != Kind::list) {
    refuse("its list of storages is missing");
  }
  std::unordered_map<std::string_view, const PickledStorage*> known;
  for (const PickledStorage& storage : pickle.storages()) {
    known.emplace(storage.key, &storage);
  }
  StoragePlaces places;
  uint64_t at = pickle.position();
  for (const uint32_t item : keys.items) {
    const PickleValue& key = pickle.value(item);
    const auto storage = known.find(key.text);
    if (key.kind != Kind::text || storage == known.end()) {
      refuse("its list of storages names one that no tensor uses");
    }
    const uint64_t bytes = storage_bytes(*storage->second);
    if (file.size() - at < 8 || bytes > file.size() - at - 8) {
      refuse(fmt::format("cut off: storage '{}' needs {} bytes at {}, the file has {}", key.text,
                         bytes, at, file.size()));
    }
    uint64_t elements = 0;
    for (size_t i = 8; i-- > 0;) {
      elements = elements << 8 | static_cast<uint64_t>(file[static_cast<size_t>(at) + i]);
    }
    if (elements != static_cast<uint64_t>(storage->second->elements)) {
      refuse(fmt::format("storage '{}' has {} values, its description {}", key.text, elements,
                         storage->second->elements));
    }
    if (!places.emplace(key.text, Extent{at + 8, bytes}).second) {
      refuse(fmt::format("storage '{}' is there twice", key.text));
    }
    at += 8 + bytes;
  }
  if (at != file.size()) {
    refuse(fmt::format("{} extra bytes after the last storage", file.size() - at));
  }
  return places;
}

// Magic number, protocol version, facts about the machine, the state; then the storages.
std::vector<PytorchTensor> PytorchReader::from_stream() const {
  constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
  Unpickler pickle(file, source);
  const PickleValue& magic = pickle.load();
  if (magic.kind != Kind::long_integer || magic.text != kMagic) {
    refuse_pickle(source);
  }
  if (const PickleValue& version = pickle.load();
      version.kind != Kind::integer || version.number != 1001) {
    refuse("saved in a form of torch.save that is not known");
  }
  const PickleValue& machine = pickle.load();
  for (size_t i = 0; machine.kind == Kind::dictionary && i < machine.items.size(); i += 2) {
    const PickleValue& value = pickle.value(machine.items[i + 1]);
    if (pickle.value(machine.items[i]).text == "little_endian" && value.number != 1) {
      refuse("its numbers are not little-endian");
    }
  }
  const PickleValue& state = pickle.load();
  const StoragePlaces places = places_in_stream(pickle);
  return tensors(pickle, state, places);
}

}  // namespace

std::vector<PytorchTensor> parse_pytorch_file(std::span<const std::byte> file,
                                              const std::string& source_name) {
  const PytorchReader reader{source_name, file};
  const size_t some = std::min<size_t>(file.size(), 200);
  refuse_wrong_content({reinterpret_cast<const char*>(file.data()), some}, file.size(),
                       source_name);
  return looks_like_zip(file) ? reader.from_archive() : reader.from_stream();
}

}  // namespace llm
