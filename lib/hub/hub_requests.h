// The questions that a download asks the hub, with retries, and what its answers mean.
//
// A busy or failing server (408, 429, 5xx, no answer) is asked again after a pause; anything else
// is an Error that says what to do. Not thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hub/download.h"
#include "hub/http_client.h"

namespace llm {

struct HubListing {
  std::string commit;
  std::vector<std::string> files;
};

struct HubFile {
  std::string name, url;
  std::string tag;               // its name in blobs/; empty: stopped
  std::optional<uint64_t> size;  // where the server tells
};

class HubRequests {
 public:
  HubRequests(const HubConnection& connection, const DownloadRequest& request);

  HubListing list();
  HubFile describe(const std::string& commit, const std::string& file);

  /// One request, without retries; the token is added.
  HttpReply send_once(HttpRequest request);
  /// Whether the server may answer otherwise later.
  static bool may_pass(const HttpReply& reply);
  /// Waits before attempt number `failures` + 1; false if the download was stopped meanwhile.
  bool pause(int failures, const HttpReply& reply);
  int attempts() const { return connection_.attempts; }
  bool stopped() const { return request_.stop && request_.stop(); }
  [[noreturn]] void refuse(const HttpReply& reply, const std::string& what) const;

 private:
  HttpReply send(const HttpRequest& request, const std::string& what);

  const HubConnection& connection_;
  const DownloadRequest& request_;
  HttpClient client_;
};

/// An ETag header as a name: without W/ and quotes.
std::string plain_tag(std::string_view header);

}  // namespace llm
