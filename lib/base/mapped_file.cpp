#include "base/mapped_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

namespace llm {
namespace {

/// What the signal handler may look at: plain words, written before `begin` becomes nonzero.
struct Slot {
  std::atomic<uintptr_t> begin{0};
  std::atomic<size_t> size{0};
  std::array<char, 256> name{};
};

std::array<Slot, 4096> slots;
std::mutex slots_mutex;
std::atomic<const char*> activity{"use"};
struct sigaction previous_action;

/// Text assembled without allocation, then written at once: all that a signal handler may do.
class SignalText {
 public:
  void add(const char* text) {
    while (*text != '\0' && length_ < buffer_.size()) {
      buffer_[length_++] = *text++;
    }
  }
  void add(uint64_t number) {
    char digits[21];
    size_t at = sizeof digits;
    digits[--at] = '\0';
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    add(digits + at);
  }
  void write_to_stderr() const {
    [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, buffer_.data(), length_);
  }

 private:
  std::array<char, 512> buffer_{};
  size_t length_ = 0;
};

void on_bus_error(int, siginfo_t* facts, void*) {
  const auto address = reinterpret_cast<uintptr_t>(facts->si_addr);
  for (const Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin != 0 && address >= begin &&
        address - begin < slot.size.load(std::memory_order_relaxed)) {
      SignalText text;
      text.add("llm: error: '");
      text.add(slot.name.data());
      text.add("' changed size during ");
      text.add(activity.load());
      text.add(" (SIGBUS at offset ");
      text.add(static_cast<uint64_t>(address - begin));
      text.add(")\n");
      text.write_to_stderr();
      ::_exit(static_cast<int>(Exit::io));
    }
  }
  ::sigaction(SIGBUS, &previous_action,
              nullptr);  // not ours: the access repeats under the former handler
  if (facts->si_code <= 0) {
    ::raise(SIGBUS);  // sent by a process: there is no access to repeat
  }
}

int register_mapping(const void* begin, size_t size, const std::string& path) {
  const std::lock_guard lock(slots_mutex);
  static const bool installed = [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    return ::sigaction(SIGBUS, &action, &previous_action) == 0;
  }();
  (void)installed;
  for (size_t i = 0; i < slots.size(); ++i) {
    Slot& slot = slots[i];
    if (slot.begin.load() == 0) {
      const size_t kept = std::min(
          path.size(), slot.name.size() - 1);  // the end of a long path tells more than its start
      std::memcpy(slot.name.data(), path.data() + path.size() - kept, kept);
      slot.name[kept] = '\0';
      slot.size.store((size + 4095) / 4096 * 4096, std::memory_order_relaxed);
      slot.begin.store(reinterpret_cast<uintptr_t>(begin), std::memory_order_release);
      return static_cast<int>(i);
    }
  }
  return -1;
}

}  // namespace

MappedFile MappedFile::open(const std::filesystem::path& path, AccessPattern pattern, Exit exit) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer before we can refuse it.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    fail_errno(fmt::format("cannot open '{}'", path.string()), exit);
  }
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } closer{descriptor};
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) {
    fail_errno(fmt::format("cannot read '{}'", path.string()), exit);
  }
  if (S_ISDIR(facts.st_mode)) {
    fail(exit, fmt::format("'{}' is a directory", path.string()));
  }
  if (!S_ISREG(facts.st_mode)) {
    fail(exit, fmt::format("'{}' is not a regular file", path.string()));
  }
  MappedFile file;
  file.path_ = path;
  file.size_ = static_cast<size_t>(facts.st_size);
  if (file.size_ == 0) {
    return file;
  }
  void* begin = ::mmap(nullptr, file.size_, PROT_READ, MAP_SHARED, descriptor, 0);
  if (begin == MAP_FAILED) {
    file.size_ = 0;
    fail_errno(fmt::format("cannot map '{}'", path.string()), Exit::io);
  }
  if (pattern != AccessPattern::normal) {
    ::madvise(begin, file.size_,
              pattern == AccessPattern::sequential ? MADV_SEQUENTIAL : MADV_RANDOM);
  }
  file.data_ = static_cast<const std::byte*>(begin);
  file.slot_ = register_mapping(begin, file.size_, path.string());
  return file;
}

void MappedFile::release(size_t offset, size_t length) const {
  constexpr size_t kPage = 4096;
  const size_t first = (offset + kPage - 1) / kPage * kPage,
               end = (offset + length) / kPage * kPage;
  if (end > first && end <= size_) {
    ::madvise(const_cast<std::byte*>(data_) + first, end - first, MADV_DONTNEED);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    if (slot_ >= 0) {
      slots[static_cast<size_t>(slot_)].begin.store(0, std::memory_order_release);
    }
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      slot_(std::exchange(other.slot_, -1)),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(slot_, other.slot_);
  std::swap(path_, other.path_);
  return *this;
}

void set_mapping_activity(const char* word) { activity.store(word); }

}  // namespace llm
