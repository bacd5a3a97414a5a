// Layout: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.3.
#include "model/zip_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/error.h"
#include "base/utf8.h"

namespace llm {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64Locator = 0x07064b50, kEnd64 = 0x06064b50;
constexpr uint64_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kLocatorBytes = 20,
                   kEnd64Bytes = 56;
constexpr uint32_t kInZip64 = 0xffffffff;
constexpr uint64_t kMaxEntries = 1'000'000;

struct ZipParser {
  std::string source;
  std::span<const std::byte> file;

  struct Directory {
    uint64_t entries, size, offset;
  };
  struct Record {
    ZipEntry entry;
    uint64_t header = 0;  // place of the local header
    uint64_t bytes = 0;   // of the central record
  };

  [[noreturn]] void refuse(const std::string& rule) const {
    fail(Exit::bad_input, fmt::format("{}: damaged archive: {}", source, rule));
  }
  bool holds(uint64_t offset, uint64_t length) const {
    return offset <= file.size() && length <= file.size() - offset;
  }
  /// Little-endian; the caller has checked the range.
  uint64_t number(uint64_t offset, int bytes) const {
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; --i) {
      value = value << 8 | static_cast<uint64_t>(file[offset + static_cast<uint64_t>(i)]);
    }
    return value;
  }
  bool is(uint64_t offset, uint32_t signature) const {
    return holds(offset, 4) && number(offset, 4) == signature;
  }
  std::string_view text(uint64_t offset, uint64_t length) const {
    return {reinterpret_cast<const char*>(file.data()) + offset, static_cast<size_t>(length)};
  }

  Directory directory() const;
  Record record(uint64_t at) const;
  void read_zip64(Record& record, uint64_t extra, uint64_t extra_bytes) const;
  void check_name(std::string_view name) const;
  void locate(Record& record) const;
};

// The end record closes the file; a comment may follow it, other bytes may not.
ZipParser::Directory ZipParser::directory() const {
  const uint64_t size = file.size();
  if (size < kEndBytes) {
    refuse(fmt::format("too small ({} bytes)", size));
  }
  const uint64_t lowest = size - std::min<uint64_t>(size, kEndBytes + 0xffff);
  for (uint64_t at = size - kEndBytes + 1; at-- > lowest;) {
    if (!is(at, kEnd) || at + kEndBytes + number(at + 20, 2) != size) {
      continue;
    }
    if (at >= kLocatorBytes && is(at - kLocatorBytes, kEnd64Locator)) {
      const uint64_t end64 = number(at - kLocatorBytes + 8, 8);
      if (!holds(end64, kEnd64Bytes) || !is(end64, kEnd64)) {
        refuse("its ZIP64 end record is not where it is said to be");
      }
      return {number(end64 + 32, 8), number(end64 + 40, 8), number(end64 + 48, 8)};
    }
    return {number(at + 10, 2), number(at + 12, 4), number(at + 16, 4)};
  }
  refuse("no end record (cut off?)");
}

void ZipParser::check_name(std::string_view name) const {
  const bool climbs = name == ".." || name.starts_with("../") || name.ends_with("/..") ||
                      name.find("/../") != std::string_view::npos;
  if (name.empty() || name.front() == '/' || climbs ||
      name.find_first_of(std::string_view("\\\0", 2)) != std::string_view::npos ||
      !utf8::is_valid(name)) {
    refuse("an entry's name is not allowed");
  }
}

void ZipParser::read_zip64(Record& record, uint64_t extra, uint64_t extra_bytes) const {
  uint64_t* const wanted[] = {&record.entry.size, &record.header};
  while (extra_bytes >= 4) {
    const uint64_t id = number(extra, 2), length = number(extra + 2, 2);
    if (length > extra_bytes - 4) {
      refuse("an extra field is longer than its record");
    }
    if (id == 1) {
      uint64_t at = extra + 4, left = length;
      // Uncompressed size, compressed size, offset: each only where the record has no room for it.
      if (record.entry.size == kInZip64) {
        if (left < 16 || number(at, 8) != number(at + 8, 8)) {
          refuse("an entry is compressed");
        }
        *wanted[0] = number(at, 8);
        at += 16;
        left -= 16;
      }
      if (record.header == kInZip64) {
        if (left < 8) {
          refuse("an extra field is too short");
        }
        *wanted[1] = number(at, 8);
      }
      return;
    }
    extra += 4 + length;
    extra_bytes -= 4 + length;
  }
}

ZipParser::Record ZipParser::record(uint64_t at) const {
  if (!holds(at, kCentralBytes) || !is(at, kCentralHeader)) {
    refuse("its directory ends early");
  }
  Record record;
  const uint64_t name_bytes = number(at + 28, 2), extra_bytes = number(at + 30, 2),
                 comment_bytes = number(at + 32, 2);
  record.bytes = kCentralBytes + name_bytes + extra_bytes + comment_bytes;
  if (!holds(at, record.bytes)) {
    refuse("its directory ends early");
  }
  record.entry.name = text(at + kCentralBytes, name_bytes);
  check_name(record.entry.name);
  if ((number(at + 8, 2) & 1) != 0) {
    refuse(fmt::format("entry '{}' is encrypted", record.entry.name));
  }
  const uint64_t packed = number(at + 20, 4);
  record.entry.size = number(at + 24, 4);
  if (number(at + 10, 2) != 0 || packed != record.entry.size) {
    refuse(fmt::format("entry '{}' is compressed", record.entry.name));
  }
  record.header = number(at + 42, 4);
  read_zip64(record, at + kCentralBytes + name_bytes, extra_bytes);
  return record;
}

void ZipParser::locate(Record& record) const {
  ZipEntry& entry = record.entry;
  if (!holds(record.header, kLocalBytes) || !is(record.header, kLocalHeader)) {
    refuse(fmt::format("entry '{}' is not where it is said to be", entry.name));
  }
  const uint64_t name_bytes = number(record.header + 26, 2),
                 head_bytes = kLocalBytes + name_bytes + number(record.header + 28, 2);
  if (!holds(record.header, head_bytes) ||
      text(record.header + kLocalBytes, name_bytes) != entry.name) {
    refuse(fmt::format("entry '{}' has another name in front of its content", entry.name));
  }
  entry.begin = record.header + head_bytes;
  if (!holds(entry.begin, entry.size)) {
    refuse(fmt::format("entry '{}' of {} bytes at {} reaches past the end of {}", entry.name,
                       entry.size, entry.begin, file.size()));
  }
}

}  // namespace

bool looks_like_zip(std::span<const std::byte> file) {
  return file.size() >= 4 && ZipParser{{}, file}.is(0, kLocalHeader);
}

std::vector<ZipEntry> read_zip(std::span<const std::byte> file, const std::string& source_name) {
  const ZipParser parser{source_name, file};
  const ZipParser::Directory directory = parser.directory();
  if (!parser.holds(directory.offset, directory.size)) {
    parser.refuse("its directory reaches past the end");
  }
  if (directory.entries > kMaxEntries || directory.entries > directory.size / kCentralBytes) {
    parser.refuse(fmt::format("its directory cannot hold {} entries", directory.entries));
  }
  std::vector<ZipEntry> entries;
  uint64_t at = directory.offset;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    ZipParser::Record record = parser.record(at);
    parser.locate(record);
    at += record.bytes;
    entries.push_back(record.entry);
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.begin < b.begin; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].begin - entries[i - 1].begin < entries[i - 1].size) {
      parser.refuse(
          fmt::format("entries '{}' and '{}' overlap", entries[i - 1].name, entries[i].name));
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].name == entries[i - 1].name) {
      parser.refuse(fmt::format("entry '{}' is there twice", entries[i].name));
    }
  }
  return entries;
}

}  // namespace llm
