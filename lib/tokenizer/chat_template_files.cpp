// Where a model directory keeps its chat template and special tokens, for chat_template.h.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file_io.h"
#include "base/json_reader.h"
#include "base/utf8.h"
#include "tokenizer/chat_template.h"
#include "tokenizer/jinja_syntax.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 64u << 20;  // tokenizer_config.json lists every added token

std::string read_template(const fs::path& file) {
  std::string source = read_file(file, {"chat template", jinja::kMaxSourceBytes});
  if (const auto bad = utf8::first_invalid(source)) {
    fail(Exit::bad_input, fmt::format("{}: invalid UTF-8 at byte {}", file.string(), *bad));
  }
  return source;
}

std::optional<nlohmann::json> json_of(const fs::path& file) {
  if (!fs::exists(file)) return std::nullopt;
  return parse_json_file(file, {.max_bytes = kMaxConfigBytes});
}

/// "<s>" or {"content": "<s>", ...}.
std::optional<std::string> token_text(const JsonView& token) {
  if (token.value().is_string()) return token.as_string();
  if (token.value().is_object()) return token.get_string("content");
  return std::nullopt;
}

void add_tokens(std::map<std::string, std::string>& tokens, const fs::path& file) {
  const auto document = json_of(file);
  if (!document) return;
  const JsonView view(*document, file.string());
  view.expect_object();
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const auto token = view.find(name);
    if (!token || tokens.contains(name)) continue;
    if (const auto text = token_text(*token)) tokens[name] = *text;
  }
}

/// The value of "chat_template": name -> source. Empty if there is none.
std::map<std::string, std::string> templates_in(const fs::path& file) {
  std::map<std::string, std::string> found;
  const auto document = json_of(file);
  if (!document) return found;
  const JsonView view(*document, file.string());
  view.expect_object();
  const auto value = view.find("chat_template");
  if (!value) return found;
  if (!value->value().is_array()) {
    found["default"] = value->as_string();
    return found;
  }
  for (size_t i = 0; i < value->size(); ++i) {
    const JsonView entry = value->element(i);
    const std::string name = entry.get_string("name");
    if (!found.emplace(name, entry.get_string("template")).second) {
      entry.fail(fmt::format("repeats the name '{}'", name));
    }
  }
  return found;
}

std::map<std::string, std::string> find_templates(const fs::path& directory) {
  std::map<std::string, std::string> found;
  if (fs::exists(directory / "chat_template.jinja")) {
    found["default"] = read_template(directory / "chat_template.jinja");
    const fs::path others = directory / "additional_chat_templates";
    if (fs::is_directory(others)) {
      for (const fs::directory_entry& entry : fs::directory_iterator(others)) {
        if (entry.path().extension() != ".jinja") continue;
        found[entry.path().stem().string()] = read_template(entry.path());
      }
    }
    return found;
  }
  found = templates_in(directory / "chat_template.json");
  if (found.empty()) found = templates_in(directory / "tokenizer_config.json");
  return found;
}

}  // namespace

SpecialTokenTexts special_token_texts(const fs::path& directory, const SpecialTokenTexts& others) {
  SpecialTokenTexts tokens;
  add_tokens(tokens, directory / "tokenizer_config.json");
  add_tokens(tokens, directory / "special_tokens_map.json");
  tokens.insert(others.begin(), others.end());
  return tokens;
}

ChatTemplate ChatTemplate::load(const fs::path& model_directory, const SpecialTokenTexts& others) {
  const auto found = find_templates(model_directory);
  if (found.empty()) {
    fail(Exit::bad_input, fmt::format("'{}' has no chat template", model_directory.string()),
         "a base model has none; give one with --chat-template FILE");
  }
  ChatTemplate result;
  result.special_tokens_ = special_token_texts(model_directory, others);
  for (const auto& [name, source] : found) result.add(name, source);
  return result;
}

ChatTemplate ChatTemplate::load_file(const fs::path& file, const fs::path& model_directory,
                                     const SpecialTokenTexts& others) {
  return parse(read_template(file), special_token_texts(model_directory, others));
}

bool ChatTemplate::exists(const fs::path& model_directory) {
  return !find_templates(model_directory).empty();
}

}  // namespace llm
