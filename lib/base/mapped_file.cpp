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
#include <new>
#include <utility>
#include <vector>

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

/// Which file and which state of it: another mapping of the same shows the same bytes.
struct FileState {
  dev_t device;
  ino_t inode;
  off_t size;
  int64_t seconds, nanoseconds;  // of the last change
  bool operator==(const FileState&) const = default;
};

FileState state_of(const struct stat& facts) {
  return {facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec};
}

struct Closer {
  int descriptor;
  ~Closer() { ::close(descriptor); }
};

}  // namespace

struct MappedFile::Mapping {
  Mapping(int descriptor, const FileState& file, const std::string& path)
      : state(file), size(static_cast<size_t>(file.size)) {
    begin = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (begin == MAP_FAILED) {
      fail_errno(fmt::format("cannot map '{}'", path), Exit::io);
    }
    slot = register_mapping(begin, size, path);
  }
  explicit Mapping(size_t bytes) : size(bytes), of_file(false) {
    begin = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED) {
      throw std::bad_alloc();
    }
  }
  ~Mapping() {
    if (slot >= 0) {
      slots[static_cast<size_t>(slot)].begin.store(0, std::memory_order_release);
    }
    ::munmap(begin, size);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  FileState state{};
  size_t size = 0;
  bool of_file = true;
  void* begin = nullptr;
  int slot = -1;
};

namespace {

std::mutex mappings_mutex;
std::vector<std::weak_ptr<const MappedFile::Mapping>> mappings;  // those that live, and some gone

}  // namespace

/// The mapping of this file that there is, or a new one.
std::shared_ptr<const MappedFile::Mapping> MappedFile::shared_mapping(int descriptor,
                                                                      const struct stat& facts,
                                                                      const std::string& path) {
  const std::lock_guard lock(mappings_mutex);
  std::erase_if(mappings, [](const auto& mapping) { return mapping.expired(); });
  for (const auto& known : mappings) {
    if (auto mapping = known.lock(); mapping && mapping->state == state_of(facts)) return mapping;
  }
  auto mapping = std::make_shared<const Mapping>(descriptor, state_of(facts), path);
  mappings.push_back(mapping);
  return mapping;
}

MappedFile MappedFile::open(const std::filesystem::path& path, AccessPattern pattern,
                            Exit unreadable) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer before we can refuse it.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) {
    const bool forbidden = errno == EACCES || errno == EPERM;
    fail_errno(fmt::format("cannot open '{}'", path.string()),
               forbidden ? unreadable : exit_of_failed_open());
  }
  const Closer closer{descriptor};
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) {
    fail_errno(fmt::format("cannot read '{}'", path.string()), Exit::io);
  }
  if (S_ISDIR(facts.st_mode)) {
    fail(Exit::bad_input, fmt::format("'{}' is a directory", path.string()));
  }
  if (!S_ISREG(facts.st_mode)) {
    fail(Exit::bad_input, fmt::format("'{}' is not a regular file", path.string()));
  }
  MappedFile file;
  file.path_ = path;
  if (facts.st_size == 0) {
    return file;
  }
  file.mapping_ = pattern == AccessPattern::normal
                      ? shared_mapping(descriptor, facts, path.string())
                      : std::make_shared<const Mapping>(descriptor, state_of(facts), path.string());
  file.data_ = static_cast<const std::byte*>(file.mapping_->begin);
  file.size_ = file.mapping_->size;
  if (pattern != AccessPattern::normal) {
    ::madvise(file.mapping_->begin, file.size_,
              pattern == AccessPattern::sequential ? MADV_SEQUENTIAL : MADV_RANDOM);
  }
  return file;
}

MappedFile MappedFile::in_memory(const std::filesystem::path& path, size_t size,
                                 const std::function<void(std::span<std::byte>)>& fill) {
  MappedFile file;
  file.path_ = path;
  if (size == 0) {
    fill({});
    return file;
  }
  const auto memory = std::make_shared<const Mapping>(size);
  file.data_ = static_cast<const std::byte*>(memory->begin);
  file.size_ = size;
  file.mapping_ = memory;
  fill({static_cast<std::byte*>(memory->begin), size});
  ::mprotect(memory->begin, size, PROT_READ);
  return file;
}

void MappedFile::release(size_t offset, size_t length) const {
  constexpr size_t kPage = 4096;
  const size_t first = (offset + kPage - 1) / kPage * kPage,
               end = (offset + length) / kPage * kPage;
  if (end > first && end <= size_ && mapping_->of_file) {
    ::madvise(const_cast<std::byte*>(data_) + first, end - first, MADV_DONTNEED);
  }
}

void MappedFile::populate() const {
#ifdef MADV_POPULATE_READ  // Linux 5.14
  if (size_ > 0) ::madvise(mapping_->begin, size_, MADV_POPULATE_READ);
#endif
}

void set_mapping_activity(const char* word) { activity.store(word); }

}  // namespace llm
