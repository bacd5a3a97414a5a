#include "serving/http/api/adapter_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/utf8.h"

namespace llm::api {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestName = 256;

bool is_inside(const fs::path& path, const fs::path& folder) {
  const auto [end, unused] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

/// A message in the words of who asked: where the folder lies is nobody's business.
std::string as_asked(std::string message, const std::string& directory, const std::string& path) {
  for (size_t at = message.find(directory); at != std::string::npos;
       at = message.find(directory, at + path.size()))
    message.replace(at, directory.size(), path);
  return message;
}

}  // namespace

AdapterSet::AdapterSet(std::string base_name, Open open, const fs::path& folder)
    : base_name_(std::move(base_name)), open_(std::move(open)) {
  if (folder.empty()) return;
  std::error_code error;
  folder_ = fs::canonical(folder, error);
  check(!error && fs::is_directory(folder_), "--adapter-folder '{}' is not a directory",
        folder.string());
}

/// With the mutex held.
void AdapterSet::check_name(const std::string& name) const {
  check(!name.empty() && name.size() <= kLongestName && utf8::is_printable(name),
        "the name of an adapter has 1 to {} printable characters", kLongestName);
  check(name != base_name_, "adapter '{}': the model itself is called that", name);
  check(!adapters_.contains(name), "adapter '{}' is loaded already", name);
  check(adapters_.size() < kMost, "there are {} adapters already, which is the most", kMost);
}

void AdapterSet::check_new_name(const std::string& name) const {
  const std::lock_guard guard(mutex_);
  check_name(name);
}

void AdapterSet::load(const std::string& name, const fs::path& directory) {
  check(open_ != nullptr, "this model takes no adapters");
  check_new_name(name);
  add(name, open_(directory));  // may take long: others are served meanwhile
  log_info("adapter '{}' from {}", name, directory.string());
}

void AdapterSet::add(const std::string& name, ModelAdapterPtr adapter) {
  const std::lock_guard guard(mutex_);
  check_name(name);
  adapters_.emplace(name, std::make_shared<const ServedAdapter>(
                              ServedAdapter{name, std::time(nullptr), std::move(adapter)}));
  ++version_;
}

void AdapterSet::load_within(const std::string& name, const std::string& path) {
  check(may_load(), "adapters are loaded at start only (--adapter-folder allows more)");
  std::error_code error;
  const fs::path directory = fs::canonical(folder_ / path, error);
  // The same words for what lies outside and what is not there: nobody can look around with this.
  check(!error && is_inside(directory, folder_), "there is no adapter at '{}'", path);
  try {
    load(name, directory);
  } catch (const Error& refused) {
    fail(refused.code(), as_asked(refused.message(), directory.string(), path));
  }
}

bool AdapterSet::unload(const std::string& name) {
  const std::lock_guard guard(mutex_);
  if (adapters_.erase(name) == 0) return false;
  ++version_;
  log_info("adapter '{}' unloaded", name);
  return true;
}

ServedAdapterPtr AdapterSet::find(const std::string& name) const {
  const std::lock_guard guard(mutex_);
  const auto found = adapters_.find(name);
  return found == adapters_.end() ? nullptr : found->second;
}

std::vector<ServedAdapterPtr> AdapterSet::all() const {
  const std::lock_guard guard(mutex_);
  std::vector<ServedAdapterPtr> all;
  for (const auto& [name, adapter] : adapters_) all.push_back(adapter);
  return all;
}

std::string AdapterSet::names() const {
  std::string names = base_name_;
  for (const ServedAdapterPtr& adapter : all()) names += ", " + adapter->name;
  return names;
}

}  // namespace llm::api
