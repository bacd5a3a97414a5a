// Where the entries of a ZIP archive lie, for archives that store without compressing: PyTorch's
// .bin files.
//
// Reads the central directory (ZIP64 too) of a mapped file and checks each entry against its local
// header: stored, not encrypted, inside the file, no two on the same bytes, no name twice, none
// absolute or with "..". Nothing is allocated beyond one record per entry; checksums are not
// computed. Errors are Error(bad_input) "<file>: <rule>". No LibTorch here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llm {

struct ZipEntry {
  std::string_view name;  // in the file's bytes
  uint64_t begin = 0;     // of its content, from the start of the file
  uint64_t size = 0;
};

/// True where the file starts as a ZIP archive does.
bool looks_like_zip(std::span<const std::byte> file);
/// The entries, by name.
std::vector<ZipEntry> read_zip(std::span<const std::byte> file, const std::string& source_name);

}  // namespace llm
