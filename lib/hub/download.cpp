#include "hub/download.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/file_io.h"
#include "base/json_reader.h"
#include "base/log.h"
#include "hub/blob_store.h"
#include "hub/file_choice.h"
#include "hub/file_transfer.h"
#include "hub/hub_requests.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

Download from_cache(const DownloadRequest& request) {
  const auto snapshot = find_hub_snapshot(request.cache, request.repo);
  if (!snapshot) {
    fail(Exit::bad_input,
         fmt::format("'{}' is not in the cache '{}', and HF_HUB_OFFLINE forbids to ask for it",
                     request.repo.id, request.cache.string()));
  }
  Download result;
  result.snapshot = *snapshot;
  result.commit = snapshot->filename().string();
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(*snapshot)) {
    if (!entry.is_regular_file()) continue;
    result.files.push_back(entry.path().lexically_relative(*snapshot).string());
    result.bytes += entry.file_size();
  }
  std::sort(result.files.begin(), result.files.end());
  return result;
}

/// One file until it lies in the cache. False: stopped.
bool load_file(HubRequests& hub, const BlobStore& store, const DownloadRequest& request,
               const std::string& file, Download& result) {
  for (int round = 0;; ++round) {
    const HubFile known = hub.describe(result.commit, file);
    if (known.tag.empty()) return false;
    const BlobLock lock(store.lock_file(known.tag), request.stop);
    if (!lock.is_held()) return false;
    FileTransfer transfer(hub, store, request, known);
    const TransferResult outcome = transfer.run();
    result.bytes_fetched += transfer.bytes_fetched();
    if (outcome == TransferResult::stopped) return false;
    if (outcome == TransferResult::done) {
      store.link(result.commit, file, known.tag);
      result.bytes += fs::file_size(store.blob(known.tag));
      result.files.push_back(file);
      return true;
    }
    if (round == 2)
      fail(Exit::io, fmt::format("'{}' changes on the server while it is read", file));
  }
}

}  // namespace

Download download_model(const HubConnection& connection, const DownloadRequest& request) {
  if (connection.offline) return from_cache(request);
  HubRequests hub(connection, request);
  const HubListing listing = hub.list();
  Download result;
  result.commit = listing.commit;
  if (hub.stopped()) {
    result.stopped = true;
    return result;
  }
  const std::vector<std::string> files =
      choose_model_files(listing.files, request.include, request.exclude);
  if (files.empty()) {
    fail(Exit::bad_input,
         fmt::format("'{}' has no file to load ({} files are there)", request.repo.id,
                     listing.files.size()),
         "choose with --include");
  }
  const BlobStore store(hub_repo_folder(request.cache, request.repo));
  store.make_folders();
  result.snapshot = store.snapshot(result.commit);
  for (const std::string& file : files) {
    if (!load_file(hub, store, request, file, result)) {
      result.stopped = true;
      return result;
    }
  }
  store.refer(request.repo.revision, result.commit);
  return result;
}

}  // namespace llm
