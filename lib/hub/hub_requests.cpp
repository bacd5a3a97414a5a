#include "hub/hub_requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/json_reader.h"
#include "base/log.h"

namespace llm {
namespace {

constexpr size_t kMaxFiles = 100'000;
constexpr double kLongestPause = 30;

std::string without_blanks(std::string text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  while (!text.empty() && blank(text.back())) text.pop_back();
  while (!text.empty() && blank(text.front())) text.erase(0, 1);
  return text;
}

std::optional<uint64_t> number_of(const std::string& text) {
  uint64_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

HubConnection HubConnection::from_environment() {
  HubConnection connection;
  if (std::string endpoint = environment("HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    check(!url_origin(endpoint).empty(), "HF_ENDPOINT: '{}' is not an http or https address",
          endpoint);
    connection.endpoint = endpoint;
  }
  std::string token = environment("HF_TOKEN");
  if (token.empty()) {
    std::ifstream file(hub_home_folder() / "token");
    std::getline(file, token);
  }
  connection.token = without_blanks(token);
  const bool printable = std::all_of(connection.token.begin(), connection.token.end(),
                                     [](char c) { return c > ' ' && c < 0x7F; });
  check(printable, "HF_TOKEN: a token has no spaces and no control characters");
  std::string offline = environment("HF_HUB_OFFLINE");
  std::transform(offline.begin(), offline.end(), offline.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  connection.offline = offline == "1" || offline == "true" || offline == "yes" || offline == "on";
  return connection;
}

std::string plain_tag(std::string_view header) {
  if (header.starts_with("W/")) header.remove_prefix(2);
  if (header.size() >= 2 && header.front() == '"' && header.back() == '"') {
    header = header.substr(1, header.size() - 2);
  }
  return std::string(header);
}

HubRequests::HubRequests(const HubConnection& connection, const DownloadRequest& request)
    : connection_(connection), request_(request) {}

HttpReply HubRequests::send_once(HttpRequest request) {
  request.token = connection_.token;
  request.stop = request_.stop;
  return client_.send(request);
}

bool HubRequests::may_pass(const HttpReply& reply) {
  return !reply.failure.empty() || reply.status == 0 || reply.status == 408 ||
         reply.status == 429 || reply.status >= 500;
}

bool HubRequests::pause(int failures, const HttpReply& reply) {
  double seconds =
      std::min(connection_.first_pause * (1 << std::min(failures - 1, 10)), kLongestPause);
  if (const auto wanted = number_of(reply.header("retry-after"))) {
    seconds = std::max(seconds, std::min(static_cast<double>(*wanted), kLongestPause));
  }
  log_info(
      "{}; trying again in {:.1f} s ({} of {})",
      reply.failure.empty() ? fmt::format("the server answers {}", reply.status) : reply.failure,
      seconds, failures + 1, connection_.attempts);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (stopped()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

HttpReply HubRequests::send(const HttpRequest& request, const std::string& what) {
  for (int failures = 1;; ++failures) {
    HttpReply reply = send_once(request);
    if (reply.stopped || !may_pass(reply)) return reply;
    if (reply.lasting || failures >= connection_.attempts) refuse(reply, what);
    if (!pause(failures, reply)) {
      reply.stopped = true;
      return reply;
    }
  }
}

void HubRequests::refuse(const HttpReply& reply, const std::string& what) const {
  const std::string& repo = request_.repo.id;
  const std::string code = reply.header("x-error-code");
  if (!reply.failure.empty() || reply.status == 0) {
    fail(Exit::io,
         fmt::format("cannot load {} from {}: {}", what, connection_.endpoint, reply.failure));
  }
  if (reply.status == 401) {
    fail(Exit::bad_input,
         fmt::format("'{}' does not exist, or needs a token (401 from {})", repo,
                     connection_.endpoint),
         connection_.token.empty() ? "check the name; for a private model set HF_TOKEN"
                                   : "check the name and HF_TOKEN");
  }
  if (reply.status == 403) {
    fail(Exit::bad_input,
         fmt::format("access to '{}' is not granted (403 from {})", repo, connection_.endpoint),
         fmt::format("accept its terms at {}/{} and set HF_TOKEN", connection_.endpoint, repo));
  }
  if (reply.status == 404 &&
      (code == "RevisionNotFound" || (code.empty() && request_.repo.revision != "main"))) {
    fail(Exit::bad_input, fmt::format("'{}' has no revision '{}' (404 from {})", repo,
                                      request_.repo.revision, connection_.endpoint));
  }
  if (reply.status == 404) {
    fail(Exit::bad_input, fmt::format("no {} at {} (404)", what, connection_.endpoint));
  }
  fail(Exit::io, fmt::format("cannot load {} from {}: the server answers {}", what,
                             connection_.endpoint, reply.status));
}

HubListing HubRequests::list() {
  HttpRequest request;
  request.url = fmt::format("{}/api/models/{}/revision/{}", connection_.endpoint, request_.repo.id,
                            url_escape(request_.repo.revision, false));
  const std::string what = fmt::format("model '{}'", request_.repo.id);
  const HttpReply reply = send(request, what);
  if (reply.stopped) return {};
  if (reply.status != 200) refuse(reply, what);
  const nlohmann::json document = parse_json(reply.body, request.url);
  const JsonView view(document, request.url);
  HubListing listing;
  listing.commit = view.get_string("sha");
  check_input(is_commit_hash(listing.commit), "{}: '{}' is no commit", request.url,
              listing.commit.substr(0, 60));
  const JsonView siblings = view.at("siblings");
  check_input(siblings.size() <= kMaxFiles, "{}: more than {} files", request.url, kMaxFiles);
  for (size_t i = 0; i < siblings.size(); ++i) {
    const std::string name = siblings.element(i).get_string("rfilename");
    check_input(is_safe_file_name(name), "{}: the file name '{}' is not allowed", request.url,
                name.substr(0, 200));
    listing.files.push_back(name);
  }
  return listing;
}

HubFile HubRequests::describe(const std::string& commit, const std::string& file) {
  HubFile result;
  result.name = file;
  result.url = fmt::format("{}/{}/resolve/{}/{}", connection_.endpoint, request_.repo.id, commit,
                           url_escape(file, true));
  HttpRequest request;
  request.url = result.url;
  request.head = true;
  request.follow_elsewhere = false;  // the hub's own answer names the tag, not the storage's
  const std::string what = fmt::format("file '{}' of '{}'", file, request_.repo.id);
  const HttpReply reply = send(request, what);
  if (reply.stopped) return result;
  if (reply.status != 200 && (reply.status < 300 || reply.status >= 400)) refuse(reply, what);
  const std::string linked = reply.header("x-linked-etag");
  const std::string tag = plain_tag(linked.empty() ? reply.header("etag") : linked);
  check_input(!tag.empty(), "the server names no entity tag (ETag) for '{}'", file);
  check_input(is_safe_blob_name(tag), "the entity tag '{}' of '{}' is not allowed",
              tag.substr(0, 100), file);
  const std::string there = reply.header("x-repo-commit");
  check_input(there.empty() || there == commit, "'{}' comes from commit '{}', not from '{}'", file,
              there.substr(0, 60), commit);
  result.tag = tag;
  result.size = number_of(reply.header("x-linked-size"));
  if (!result.size && reply.status == 200) result.size = number_of(reply.header("content-length"));
  return result;
}

}  // namespace llm
