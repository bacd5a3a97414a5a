#include "hub/file_transfer.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <vector>

#include "base/log.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kProgressMade = 1u
                                   << 20;  // an attempt that got this far does not count as failed

/// "bytes 100-199/200" -> 100, 200.
bool content_range(const std::string& text, uint64_t& begin, std::optional<uint64_t>& total) {
  if (!text.starts_with("bytes ")) return false;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data() + 6, end, begin);
  if (first.ec != std::errc()) return false;
  if (const size_t slash = text.find('/'); slash != std::string::npos) {
    uint64_t value = 0;
    if (std::from_chars(text.data() + slash + 1, end, value).ec == std::errc()) total = value;
  }
  return true;
}

}  // namespace

FileTransfer::FileTransfer(HubRequests& hub, const BlobStore& store, const DownloadRequest& request,
                           const HubFile& file)
    : hub_(hub), store_(store), request_(request), file_(file) {}

void FileTransfer::start_over() {
  output_ = OutputFile::create(store_.incomplete(file_.tag));
  hash_.emplace(file_.tag, file_.size.value_or(0));
  have_ = 0;
}

/// Goes on with what an earlier run left, which is hashed again.
void FileTransfer::take_up() {
  const fs::path path = store_.incomplete(file_.tag);
  std::error_code absent;
  const uint64_t size = fs::file_size(path, absent);
  if (absent || size == 0 || (file_.size && size > *file_.size)) return start_over();
  hash_.emplace(file_.tag, file_.size.value_or(size));
  have_ = 0;
  std::ifstream input(path, std::ios::binary);
  std::vector<char> block(1 << 20);
  while (input) {
    input.read(block.data(), static_cast<std::streamsize>(block.size()));
    const auto count = static_cast<size_t>(input.gcount());
    hash_->update({block.data(), count});
    have_ += count;
  }
  output_ = OutputFile::append_to(path);
  if (have_ > 0) log_info("{}: going on at {} bytes", file_.name, have_);
}

/// The head of an answer with content: may it be put behind what is there?
bool FileTransfer::accept(const HttpReply& reply) {
  std::string tag = reply.linked_tag;
  if (url_origin(reply.url) == url_origin(file_.url)) {
    const std::string linked = reply.header("x-linked-etag");
    tag = linked.empty() ? reply.header("etag") : linked;
  }
  if (!tag.empty() && plain_tag(tag) != file_.tag) {
    changed_ = true;
    return false;
  }
  if (reply.status == 200) {
    if (have_ > 0) start_over();  // the server does not know ranges
    return true;
  }
  uint64_t begin = 0;
  std::optional<uint64_t> total;
  if (!content_range(reply.header("content-range"), begin, total) || begin != have_) {
    problem_ = fmt::format("'{}': the server sends another part than was asked for", file_.name);
    return false;
  }
  if (total && file_.size && *total != *file_.size) {
    problem_ =
        fmt::format("'{}' has {} bytes there, {} were announced", file_.name, *total, *file_.size);
    return false;
  }
  return true;
}

bool FileTransfer::take(std::string_view bytes) {
  if (file_.size && have_ + bytes.size() > *file_.size) {
    problem_ = fmt::format("'{}' is longer than the {} bytes that were announced", file_.name,
                           *file_.size);
    return false;
  }
  output_.write(bytes);
  hash_->update(bytes);
  have_ += bytes.size();
  fetched_ += bytes.size();
  if (request_.progress) request_.progress(file_.name, have_, file_.size.value_or(0));
  return true;
}

/// What is wrong with the whole file; "" if nothing is.
std::string FileTransfer::check_content() {
  if (file_.size && have_ != *file_.size) {
    return fmt::format("'{}' has {} bytes, {} were announced", file_.name, have_, *file_.size);
  }
  if (!hash_->is_known()) return "";
  if (!file_.size) take_up();  // git's id holds the size, which only shows now
  const std::string got = hash_->finish();
  if (got == file_.tag) return "";
  return fmt::format("'{}' is damaged: its {} is {}, the server announced {}", file_.name,
                     hash_->name(), got, file_.tag);
}

void FileTransfer::put_in_place() {
  output_.sync();
  output_.close();
  rename_path(store_.incomplete(file_.tag), store_.blob(file_.tag));
  sync_directory(store_.blob(file_.tag).parent_path());
}

TransferResult FileTransfer::run() {
  std::error_code absent;
  const uint64_t there = fs::file_size(store_.blob(file_.tag), absent);
  if (!absent && (!file_.size || there == *file_.size)) return TransferResult::done;
  if (file_.size) check_free_space(store_.blob(file_.tag).parent_path(), *file_.size);
  take_up();
  bool damaged_before = false;
  for (int failures = 0;;) {
    HttpReply reply;
    const uint64_t before = have_;
    if (!is_whole() || have_ == 0) {
      HttpRequest request;
      request.url = file_.url;
      if (have_ > 0) request.range_begin = have_;
      request.begin = [this](const HttpReply& head) { return accept(head); };
      request.sink = [this](std::string_view bytes) { return take(bytes); };
      problem_.clear();
      reply = hub_.send_once(request);
      if (reply.stopped) return TransferResult::stopped;
      if (changed_) return TransferResult::changed;
    }
    const bool ended = reply.failure.empty() && problem_.empty();
    if (is_whole() || (ended && !file_.size && (reply.status == 200 || reply.status == 206))) {
      const std::string wrong = check_content();
      if (wrong.empty()) {
        put_in_place();
        return TransferResult::done;
      }
      if (damaged_before) {
        discard(store_.incomplete(file_.tag));
        fail(Exit::io, wrong, "the incomplete file was removed; run the command again");
      }
      log_warn("{}; loading it again", wrong);
      damaged_before = true;
      start_over();
      continue;
    }
    if (!problem_.empty() || reply.status == 416) {
      if (damaged_before) {
        discard(store_.incomplete(file_.tag));
        fail(Exit::io,
             problem_.empty() ? fmt::format("'{}': the server answers 416", file_.name) : problem_);
      }
      damaged_before = true;
      start_over();
      continue;
    }
    if (reply.status == 200 || reply.status == 206) {
      if (reply.failure.empty()) {
        reply.failure = fmt::format("'{}' ended at {} of {} bytes", file_.name, have_, *file_.size);
      }
    } else if (!HubRequests::may_pass(reply)) {
      hub_.refuse(reply, fmt::format("file '{}'", file_.name));
    }
    failures = have_ >= before + kProgressMade ? 1 : failures + 1;
    if (reply.lasting || failures >= hub_.attempts())
      hub_.refuse(reply, fmt::format("file '{}'", file_.name));
    if (!hub_.pause(failures, reply)) return TransferResult::stopped;
  }
}

}  // namespace llm
