#include "training/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <boost/crc.hpp>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/protobuf_reader.h"
#include "base/protobuf_writer.h"

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

ProtobufWriter new_event() {
  ProtobufWriter event;
  event.put_double(1, now_seconds());
  return event;
}

/// Calls `take` for each field of a message.
template <typename Take>
void read_fields(std::string_view message, Take take) {
  ProtobufReader reader(message);
  while (const auto field = reader.next()) take(*field);
  check_input(!reader.damaged(), "event file: a message is damaged");
}

TensorBoardScalar read_value(std::string_view message) {
  TensorBoardScalar scalar;
  read_fields(message, [&](const ProtobufField& field) {
    if (field.number == 1) scalar.tag = field.bytes;
    if (field.number == 2 && field.wire == ProtobufField::Wire::fixed32)
      scalar.value = field.as_float();
  });
  return scalar;
}

void read_event(std::string_view message, std::vector<TensorBoardScalar>& out) {
  int64_t step = 0;
  const size_t first = out.size();
  read_fields(message, [&](const ProtobufField& field) {
    if (field.number == 2) step = static_cast<int64_t>(field.integer);
    if (field.number != 5) return;
    read_fields(field.bytes, [&](const ProtobufField& value) {
      if (value.number == 1) out.push_back(read_value(value.bytes));
    });
  });
  for (size_t i = first; i < out.size(); ++i) out[i].step = step;
}

/// The next `count` bytes of a file's rest.
std::string_view take_bytes(std::string_view& rest, uint64_t count) {
  check_input(count <= rest.size(), "event file: a record ends early");
  const std::string_view part = rest.substr(0, count);
  rest.remove_prefix(count);
  return part;
}

template <typename T>
T number_of(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
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
  ProtobufWriter version = new_event();
  version.put_bytes(3, "brain.Event:2");
  write_record(version.message());
  // Also from step 0: what an earlier start wrote, which ended before its first checkpoint, goes.
  ProtobufWriter session, event = new_event();
  session.put_varint(1, 1);  // START
  event.put_varint(2, static_cast<uint64_t>(first_step));
  event.put_bytes(7, session.message());
  write_record(event.message());
}

void TensorBoardWriter::write_scalars(int64_t step,
                                      const std::vector<std::pair<std::string, double>>& scalars) {
  ProtobufWriter summary, event = new_event();
  for (const auto& [tag, number] : scalars) {
    ProtobufWriter value;
    value.put_bytes(1, tag);
    value.put_float(2, static_cast<float>(number));
    summary.put_bytes(1, value.message());
  }
  event.put_varint(2, static_cast<uint64_t>(step));
  event.put_bytes(5, summary.message());
  write_record(event.message());
}

void TensorBoardWriter::write_record(std::string_view data) {
  const std::string length = raw(static_cast<uint64_t>(data.size()));
  file_.write(length + raw(masked_crc32c(length)) + std::string(data) + raw(masked_crc32c(data)));
}

std::vector<TensorBoardScalar> read_tensorboard_scalars(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  std::vector<TensorBoardScalar> out;
  for (std::string_view rest = content; !rest.empty();) {
    const std::string_view length = take_bytes(rest, 8);
    check_input(number_of<uint32_t>(take_bytes(rest, 4)) == masked_crc32c(length),
                "'{}': checksum of a record length differs", file.string());
    const std::string_view data = take_bytes(rest, number_of<uint64_t>(length));
    check_input(number_of<uint32_t>(take_bytes(rest, 4)) == masked_crc32c(data),
                "'{}': checksum of a record differs", file.string());
    read_event(data, out);
  }
  return out;
}

}  // namespace llm
