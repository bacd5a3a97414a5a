#include "training/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <boost/crc.hpp>
#include <chrono>
#include <cstring>

#include "base/error.h"

namespace llm {
namespace {

static_assert(std::endian::native == std::endian::little,
              "records are written as they lie in memory");

template <typename T>
std::string raw(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) {
    bytes += static_cast<char>(value | 0x80);
  }
  return bytes + static_cast<char>(value);
}

// Protobuf wire types: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
std::string tagged(int field, int wire_type, std::string_view payload) {
  return varint(static_cast<uint64_t>(field << 3 | wire_type)).append(payload);
}
std::string with_length(int field, std::string_view payload) {
  return tagged(field, 2, varint(payload.size()).append(payload));
}

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::filesystem::path event_file(const std::filesystem::path& folder) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  // A run continued within the same second by the same process still gets a file of its own.
  for (int number = 0;; ++number) {
    const auto path =
        folder / fmt::format("events.out.tfevents.{}.{}.{}.{}", static_cast<int64_t>(now_seconds()),
                             host.data(), getpid(), number);
    if (!std::filesystem::exists(path)) {
      return path;
    }
  }
}

/// Walks a protobuf message; every read is bounded.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        return value;
      }
    }
    fail(Exit::bad_input, "event file: a number is longer than 64 bits");
  }
  std::string_view take(uint64_t count) {
    check_input(count <= rest_.size(), "event file: a message ends early");
    const std::string_view part = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return part;
  }
  template <typename T>
  T fixed() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  /// The payload of a field with a length; nothing for other wire types, which are skipped.
  std::string_view payload(uint64_t wire_type) {
    switch (wire_type) {
      case 0:
        varint();
        return {};
      case 1:
        take(8);
        return {};
      case 2:
        return take(varint());
      case 5:
        take(4);
        return {};
      default:
        fail(Exit::bad_input, fmt::format("event file: wire type {} is unknown", wire_type));
    }
  }

 private:
  std::string_view rest_;
};

TensorBoardScalar read_value(std::string_view message) {
  TensorBoardScalar scalar;
  for (WireReader reader(message); !reader.done();) {
    const uint64_t key = reader.varint();
    if (key == (1 << 3 | 2)) {
      scalar.tag = reader.payload(2);
    } else if (key == (2 << 3 | 5)) {
      scalar.value = reader.fixed<float>();
    } else {
      reader.payload(key & 7);
    }
  }
  return scalar;
}

void read_event(std::string_view message, std::vector<TensorBoardScalar>& out) {
  int64_t step = 0;
  for (WireReader reader(message); !reader.done();) {
    const uint64_t key = reader.varint();
    if (key == (2 << 3 | 0)) {
      step = static_cast<int64_t>(reader.varint());
    } else if (key == (5 << 3 | 2)) {
      for (WireReader summary(reader.payload(2)); !summary.done();) {
        const uint64_t inner = summary.varint();
        const std::string_view value = summary.payload(inner & 7);
        if (inner == (1 << 3 | 2)) {
          out.push_back(read_value(value));
          out.back().step = step;
        }
      }
    } else {
      reader.payload(key & 7);
    }
  }
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

uint32_t masked_crc32c(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder, int64_t first_step)
    : file_(OutputFile::create(event_file(folder))) {
  write_record(tagged(1, 1, raw(now_seconds())) + with_length(3, "brain.Event:2"));
  if (first_step > 0) {
    const std::string session_start = tagged(1, 0, varint(1));
    write_record(tagged(1, 1, raw(now_seconds())) +
                 tagged(2, 0, varint(static_cast<uint64_t>(first_step))) +
                 with_length(7, session_start));
  }
}

void TensorBoardWriter::write_scalars(int64_t step,
                                      const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    summary += with_length(1, with_length(1, tag) + tagged(2, 5, raw(static_cast<float>(value))));
  }
  write_record(tagged(1, 1, raw(now_seconds())) +
               tagged(2, 0, varint(static_cast<uint64_t>(step))) + with_length(5, summary));
}

void TensorBoardWriter::write_record(std::string_view data) {
  const std::string length = raw(static_cast<uint64_t>(data.size()));
  file_.write(length + raw(masked_crc32c(length)) + std::string(data) + raw(masked_crc32c(data)));
}

std::vector<TensorBoardScalar> read_tensorboard_scalars(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  std::vector<TensorBoardScalar> out;
  for (WireReader reader(content); !reader.done();) {
    const std::string_view length = reader.take(8);
    check_input(reader.fixed<uint32_t>() == masked_crc32c(length),
                "'{}': checksum of a record length differs", file.string());
    uint64_t size = 0;
    std::memcpy(&size, length.data(), sizeof size);
    const std::string_view data = reader.take(size);
    check_input(reader.fixed<uint32_t>() == masked_crc32c(data),
                "'{}': checksum of a record differs", file.string());
    read_event(data, out);
  }
  return out;
}

}  // namespace llm
