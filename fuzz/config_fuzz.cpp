// Any bytes as a config file: refused with a usage error that names a position, or accepted, and
// then what is written back reads the same.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tests/base/sample_config.h"

namespace {

/// Reads `text` and returns what would be written from it.
std::string rewrite(std::string_view text, const std::string& name,
                    std::string (*write)(const llm::Fields&)) {
  llm::SampleConfig config;
  llm::Fields fields;
  config.fields(fields);
  fields.apply_text(text, name);
  fields.finish();
  return write(fields);
}

void expect_stable(std::string_view text, const std::string& name) {
  const auto yaml = [](const llm::Fields& fields) { return fields.to_yaml_with_comments(); };
  const auto json = [](const llm::Fields& fields) { return fields.to_json(); };
  std::string first;
  try {
    first = rewrite(text, name, yaml);
  } catch (const llm::Error& error) {
    if (error.code() != llm::Exit::usage || !error.message().starts_with(name + ":")) std::abort();
    return;
  }
  // From here on nothing may throw: these are our own files.
  if (rewrite(first, "again.yaml", yaml) != first) std::abort();
  const std::string as_json = rewrite(first, "again.yaml", json);
  if (rewrite(as_json, "again.json", json) != as_json) std::abort();
  if (rewrite(as_json, "again.json", yaml) != first) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  expect_stable(text, "c.yaml");
  expect_stable(text, "c.json");
  expect_stable(text, "c");
  return 0;
}
