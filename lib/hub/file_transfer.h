// One file from the hub into its blob: resumed, checked, put in place.
//
// The caller holds the lock of the blob. Throws Error(Exit::io) when the network or the disk gives
// up, or when size or hash are wrong twice.
#pragma once

#include <optional>
#include <string>

#include "base/file_io.h"
#include "hub/blob_hash.h"
#include "hub/blob_store.h"
#include "hub/hub_requests.h"

namespace llm {

enum class TransferResult {
  done,
  stopped,
  changed,  // the server has another version by now: ask for the tag again
};

class FileTransfer {
 public:
  FileTransfer(HubRequests& hub, const BlobStore& store, const DownloadRequest& request,
               const HubFile& file);

  TransferResult run();
  uint64_t bytes_fetched() const { return fetched_; }

 private:
  bool is_whole() const { return file_.size && have_ == *file_.size; }
  void start_over();
  void take_up();
  bool accept(const HttpReply& reply);
  bool take(std::string_view bytes);
  std::string check_content();
  void put_in_place();

  HubRequests& hub_;
  const BlobStore& store_;
  const DownloadRequest& request_;
  const HubFile& file_;
  OutputFile output_;
  std::optional<BlobHash> hash_;
  uint64_t have_ = 0, fetched_ = 0;
  bool changed_ = false, finished_ = false;
  std::string problem_;  // why the server's answer was not taken
};

}  // namespace llm
