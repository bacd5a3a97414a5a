// A model from Hugging Face's hub, or a server that speaks its routes, into the cache.
//
// GET  <endpoint>/api/models/<repo>/revision/<revision>    the commit and the names of its files
// HEAD <endpoint>/<repo>/resolve/<commit>/<file>           X-Linked-Etag or ETag, X-Linked-Size or
//                                                          Content-Length, X-Repo-Commit
// GET  the same                                            the content, usually from another host
//
// A file is written to blobs/<etag>.incomplete, goes on from where it stopped (Range), is checked
// against its size and hash, synced, renamed to blobs/<etag> and linked from snapshots/<commit>.
// refs/<revision> is written when all files are there, so a snapshot that can be found is whole. A
// lock file per blob lets two processes load at once. The token goes to the endpoint's own host
// only. Nothing is sent when offline.
//
// Throws Error: bad_input for a repository, revision or file that is not there or not allowed, and
// for what the server must not say (unsafe names); io for network, disk, wrong sizes and hashes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "hub/hub_cache.h"

namespace llm {

struct HubConnection {
  std::string endpoint = "https://huggingface.co";  // without a slash at the end
  std::string token;
  bool offline = false;
  int attempts = 5;          // of one request, while the server or the network fails
  double first_pause = 0.5;  // seconds; doubles, up to 30

  /// HF_ENDPOINT, HF_TOKEN or the file $HF_HOME/token, HF_HUB_OFFLINE.
  static HubConnection from_environment();
};

struct DownloadRequest {
  HubRepo repo;
  std::filesystem::path cache;
  std::vector<std::string> include, exclude;
  /// Asked often; true ends the download with what is there kept for the next time.
  std::function<bool()> stop;
  /// The file at hand, bytes of it, its size, and bytes of all files so far (with those at hand).
  std::function<void(const std::string& file, uint64_t done, uint64_t size)> progress;
};

struct Download {
  std::filesystem::path snapshot;
  std::string commit;
  std::vector<std::string> files;
  uint64_t bytes = 0;          // of these files
  uint64_t bytes_fetched = 0;  // that came over the network
  bool stopped = false;
};

Download download_model(const HubConnection& connection, const DownloadRequest& request);

}  // namespace llm
