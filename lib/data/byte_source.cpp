#include "data/byte_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/signals.h"

namespace llm {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10;
constexpr int kMaxWindowLog = 27;
constexpr int64_t kFreeGrowthBytes = int64_t{64} << 20;
constexpr int64_t kMaxGrowth = 4096;

struct Container {
  std::string_view magic;
  const char* name;
  const char* hint;
};
constexpr Container kContainers[] = {
    {"PAR1", "parquet", "convert it first: scripts/parquet_to_jsonl.py FILE > data.jsonl"},
    {"ARROW1", "arrow", "convert it first: scripts/parquet_to_jsonl.py FILE > data.jsonl"},
    {"\x1f\x8b", "gzip", "decompress it on the way: gunzip -c FILE | llm ... -"},
    {"BZh", "bzip2", "decompress it on the way: bunzip2 -c FILE | llm ... -"},
    {std::string_view("\xfd\x37zXZ\0", 6), "xz",
     "decompress it on the way: xz -dc FILE | llm ... -"},
};

bool is_zstd(std::string_view head) { return head.starts_with("\x28\xb5\x2f\xfd"); }

}  // namespace

struct ByteSource::Decoder {
  ZSTD_DStream* stream = ZSTD_createDStream();
  bool frame_open = false;
  bool output_pending = false;  // the last call filled its output: more may come without new input
  int64_t consumed = 0;
  int64_t produced = 0;
  ~Decoder() { ZSTD_freeDStream(stream); }
};

ByteSource::ByteSource(std::string path)
    : name_(path == "-" ? "standard input" : path), buffer_(kBufferBytes) {
  if (path == "-") {
    descriptor_ = STDIN_FILENO;
  } else {
    open_file(path);
  }
  while (end_ < 16) {  // pipes may deliver the first bytes one by one
    size_t got = read_raw(buffer_.data() + end_, buffer_.size() - end_);
    if (got == 0) {
      break;
    }
    end_ += got;
  }
  std::string_view head(buffer_.data(), end_);
  if (is_zstd(head)) {
    decoder_ = std::make_unique<Decoder>();
    ZSTD_DCtx_setParameter(decoder_->stream, ZSTD_d_windowLogMax, kMaxWindowLog);
  } else {
    check_input(!name_.ends_with(".zst"), "'{}' is no zstd data, which its name says it is", name_);
  }
  refuse_containers();
}

ByteSource::~ByteSource() {
  if (owns_descriptor_) {
    ::close(descriptor_);
  }
}

void ByteSource::open_file(const std::string& path) {
  // O_NONBLOCK: opening a pipe without a writer must not hang before it can be refused.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    const bool forbidden = errno == EACCES || errno == EPERM;
    fail_errno(fmt::format("cannot open '{}'", path),
               forbidden ? Exit::bad_input : exit_of_failed_open());
  }
  owns_descriptor_ = true;
  struct stat status {};
  const int rc = ::fstat(descriptor_, &status);
  const int cause = errno;
  const bool is_directory = S_ISDIR(status.st_mode);
  if (rc == 0 && S_ISREG(status.st_mode)) {
    stored_bytes_ = status.st_size;
    return;
  }
  ::close(descriptor_);
  owns_descriptor_ = false;
  errno = cause;
  if (rc != 0) fail_errno(fmt::format("cannot read '{}'", path), Exit::io);
  check_input(!is_directory, "'{}' is a directory, expected a file", path);
  fail(Exit::bad_input, fmt::format("'{}' is not a regular file", path),
       "read a pipe through standard input: give - as the file");
}

void ByteSource::refuse_containers() const {
  std::string_view head(buffer_.data(), end_);
  for (const Container& container : kContainers) {
    if (head.starts_with(container.magic)) {
      fail(Exit::bad_input, fmt::format("'{}': {} is not read directly", name_, container.name),
           container.hint);
    }
  }
}

/// Until there is something to read, or its end. A pipe may wait for ever, a signal must not: it
/// may have come just before the read, or to another thread.
void ByteSource::wait_for_input() const {
  constexpr int kLookEveryMs = 100;
  pollfd input{descriptor_, POLLIN, 0};
  do {
    if (StopSignal::is_pending()) throw Stopped();
  } while (::poll(&input, 1, kLookEveryMs) < 1);
}

size_t ByteSource::read_raw(char* out, size_t capacity) {
  while (true) {
    wait_for_input();
    ssize_t got = ::read(descriptor_, out, capacity);
    if (got > 0) {
      raw_bytes_ += got;
      return static_cast<size_t>(got);
    }
    if (got == 0) {
      if (raw_bytes_ < stored_bytes_) {
        fail(Exit::io, fmt::format("'{}' was cut while it was read: it had {} bytes, now {}", name_,
                                   stored_bytes_, raw_bytes_));
      }
      return 0;
    }
    if (errno != EINTR) {
      fail_errno(fmt::format("cannot read '{}'", name_),
                 errno == EISDIR ? Exit::bad_input : Exit::io);
    }
  }
}

void ByteSource::refill() {
  begin_ = 0;
  end_ = read_raw(buffer_.data(), buffer_.size());
}

size_t ByteSource::read(char* out, size_t capacity) {
  if (decoder_) {
    return decode(out, capacity);
  }
  if (begin_ == end_) {
    return read_raw(out, capacity);
  }
  size_t count = std::min(capacity, end_ - begin_);
  std::memcpy(out, buffer_.data() + begin_, count);
  begin_ += count;
  return count;
}

size_t ByteSource::decode(char* out, size_t capacity) {
  ZSTD_outBuffer output{out, capacity, 0};
  while (output.pos == 0) {
    if (begin_ == end_ && !decoder_->output_pending) {
      refill();
      if (begin_ == end_) {
        check_input(!decoder_->frame_open,
                    "'{}': truncated zstd data: the file ends inside a frame", name_);
        return 0;
      }
    }
    ZSTD_inBuffer input{buffer_.data(), end_, begin_};
    size_t rc = ZSTD_decompressStream(decoder_->stream, &output, &input);
    check_input(!ZSTD_isError(rc), "'{}': damaged zstd data near byte {}: {}", name_,
                decoder_->consumed, ZSTD_getErrorName(rc));
    decoder_->consumed += static_cast<int64_t>(input.pos - begin_);
    begin_ = input.pos;
    decoder_->frame_open = rc != 0;
    decoder_->output_pending = output.pos == output.size;
  }
  decoder_->produced += static_cast<int64_t>(output.pos);
  check_input(decoder_->produced <= kFreeGrowthBytes + kMaxGrowth * decoder_->consumed,
              "'{}': {} bytes of zstd data grew to more than {} bytes (over {}-fold)", name_,
              decoder_->consumed, decoder_->produced, kMaxGrowth);
  return output.pos;
}

}  // namespace llm
