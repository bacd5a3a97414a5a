// Bytes of one input: a regular file or standard input ("-"), decoded if they are zstd. The first
// bytes decide, not the name.
//
// Refused with exit 3: missing and unreadable files, directories, pipes and devices, and containers
// that are not text (parquet, arrow, gzip, bzip2, xz), with a hint. A file that is cut while it is
// read, and a disk that does not answer, are exit 4. zstd is decoded as a stream
// with a window of at most 128 MiB; a file that grows more than 4096-fold (beyond 64 MiB) is taken
// for a bomb. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace llm {

class ByteSource {
 public:
  explicit ByteSource(std::string path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// Up to `capacity` decoded bytes; 0 only at the end.
  size_t read(char* out, size_t capacity);
  const std::string& name() const { return name_; }  // the path, or "standard input"
  bool compressed() const { return decoder_ != nullptr; }
  int64_t stored_bytes() const { return stored_bytes_; }  // size of the file, -1 for standard input

 private:
  struct Decoder;
  void open_file(const std::string& path);
  void refuse_containers() const;
  void wait_for_input() const;
  size_t read_raw(char* out, size_t capacity);
  void refill();
  size_t decode(char* out, size_t capacity);

  std::string name_;
  int descriptor_ = -1;
  bool owns_descriptor_ = false;
  int64_t stored_bytes_ = -1;
  int64_t raw_bytes_ = 0;     // read so far
  std::vector<char> buffer_;  // raw bytes not yet handed on
  size_t begin_ = 0;
  size_t end_ = 0;
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace llm
