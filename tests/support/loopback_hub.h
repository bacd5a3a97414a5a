// The hub's routes on two loopback ports: the hub itself, and the storage that it sends on to.
#pragma once

#include <charconv>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hub/blob_hash.h"
#include "tests/support/loopback_server.h"

namespace llm {

/// The id of a file: SHA-256 for large files, git's for small ones.
inline std::string blob_id(const std::string& content, bool large) {
  BlobHash hash(std::string(large ? 64 : 40, '0'), content.size());
  hash.update(content);
  return hash.finish();
}

class LoopbackHub {
 public:
  struct Seen {
    std::string place, method, target, authorization, range;
    size_t bytes;  // of the body that was sent
  };
  using Change = std::function<void(const LoopbackRequest&, LoopbackReply&)>;

  std::string repo = "org/name";
  std::string commit = std::string(39, 'c') + "1";
  std::map<std::string, std::string> small, large;  // name -> content
  /// Called with every answer before it is sent, one at a time.
  Change change_hub = [](const LoopbackRequest&, LoopbackReply&) {};
  Change change_storage = [](const LoopbackRequest&, LoopbackReply&) {};
  bool ranges = true;

  std::string endpoint() const { return hub_.url(); }
  std::string storage() const { return storage_.url(); }
  int storage_port() const { return storage_.port(); }

  std::vector<Seen> seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::vector<Seen> seen(const std::string& place, const std::string& method = "GET") const {
    std::vector<Seen> found = seen();
    std::erase_if(found, [&](const Seen& one) {
      return one.place != place || one.method != method || one.target.starts_with("/api/");
    });
    return found;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    seen_.clear();
  }
  /// Also told of every request, for a log.
  std::function<void(const Seen&)> watch;

 private:
  LoopbackReply hub_answer(const LoopbackRequest& request) {
    const std::lock_guard lock(mutex_);
    LoopbackReply reply = hub_route(request);
    change_hub(request, reply);
    note("hub", request, reply);
    return reply;
  }

  LoopbackReply storage_answer(const LoopbackRequest& request) {
    const std::lock_guard lock(mutex_);
    LoopbackReply reply{.status = 404};
    for (const auto& [name, content] : large) {
      if (request.target == "/store/" + blob_id(content, true) + "?signature=1") {
        reply = part_of(content, request);
        reply.headers["ETag"] = "\"the storage has tags of its own\"";
      }
    }
    change_storage(request, reply);
    note("storage", request, reply);
    return reply;
  }

  LoopbackReply hub_route(const LoopbackRequest& request) const {
    if (request.target == "/api/models/" + repo + "/revision/main" ||
        request.target == "/api/models/" + repo + "/revision/" + commit) {
      return {.headers = {{"Content-Type", "application/json"}}, .body = listing()};
    }
    if (request.target.starts_with("/api/models/" + repo + "/tree/" + commit + "?")) {
      return {.headers = {{"Content-Type", "application/json"}}, .body = tree()};
    }
    if (request.target.starts_with("/api/models/" + repo + "/")) {
      return {.status = 404, .headers = {{"X-Error-Code", "RevisionNotFound"}}};
    }
    const std::string files = "/" + repo + "/resolve/" + commit + "/";
    if (!request.target.starts_with(files)) {
      return {.status = 404, .headers = {{"X-Error-Code", "RepoNotFound"}}};
    }
    const std::string name = request.target.substr(files.size());
    LoopbackReply reply{.status = 404, .headers = {{"X-Error-Code", "EntryNotFound"}}};
    if (const auto file = small.find(name); file != small.end()) {
      reply = part_of(file->second, request);
      reply.headers["ETag"] = "\"" + blob_id(file->second, false) + "\"";
    }
    if (const auto file = large.find(name); file != large.end()) {
      const std::string id = blob_id(file->second, true);
      reply = {.status = 302,
               .headers = {{"Location", storage_.url() + "/store/" + id + "?signature=1"},
                           {"ETag", "\"of the redirect\""},
                           {"X-Linked-ETag", "\"" + id + "\""},
                           {"X-Linked-Size", std::to_string(file->second.size())}},
               .body = "Found. Go there."};
    }
    reply.headers["X-Repo-Commit"] = commit;
    return reply;
  }

  std::string listing() const {
    nlohmann::ordered_json siblings = nlohmann::ordered_json::array();
    for (const auto* files : {&small, &large}) {
      for (const auto& [name, content] : *files) siblings.push_back({{"rfilename", name}});
    }
    return nlohmann::ordered_json{
        {"id", repo}, {"sha", commit}, {"private", false}, {"siblings", siblings}}
        .dump();
  }

  /// The listing that huggingface_hub asks for.
  std::string tree() const {
    nlohmann::ordered_json entries = nlohmann::ordered_json::array();
    for (const auto* files : {&small, &large}) {
      for (const auto& [name, content] : *files) {
        entries.push_back({{"type", "file"},
                           {"oid", blob_id(content, false)},
                           {"size", content.size()},
                           {"path", name}});
        if (files != &large) continue;
        entries.back()["lfs"] = {
            {"oid", blob_id(content, true)}, {"size", content.size()}, {"pointerSize", 130}};
      }
    }
    return entries.dump();
  }

  LoopbackReply part_of(const std::string& content, const LoopbackRequest& request) const {
    const std::string range = request.header("range");
    LoopbackReply reply{.body = content};
    if (!ranges || !range.starts_with("bytes=")) return reply;
    size_t begin = 0;
    std::from_chars(range.data() + 6, range.data() + range.size(), begin);
    const std::string size = std::to_string(content.size());
    if (begin >= content.size()) {
      return {.status = 416, .headers = {{"Content-Range", "bytes */" + size}}};
    }
    reply.status = 206;
    reply.body = content.substr(begin);
    reply.headers["Content-Range"] =
        "bytes " + std::to_string(begin) + "-" + std::to_string(content.size() - 1) + "/" + size;
    return reply;
  }

  void note(const std::string& place, const LoopbackRequest& request, const LoopbackReply& reply) {
    seen_.push_back({place, request.method, request.target, request.header("authorization"),
                     request.header("range"),
                     request.method == "HEAD" ? 0 : std::min(reply.body.size(), reply.cut_after)});
    if (watch) watch(seen_.back());
  }

  mutable std::mutex mutex_;
  std::vector<Seen> seen_;
  LoopbackServer storage_{
      [this](const LoopbackRequest& request) { return storage_answer(request); }};
  LoopbackServer hub_{[this](const LoopbackRequest& request) { return hub_answer(request); }};
};

}  // namespace llm
