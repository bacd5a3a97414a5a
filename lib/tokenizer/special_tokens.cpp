#include "tokenizer/special_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "base/error.h"
#include "base/json_reader.h"

namespace llm {
namespace {

constexpr std::string_view kConfigFile = "tokenizer_config.json";
constexpr std::string_view kMapFile = "special_tokens_map.json";

class SpecialTokenFinder {
 public:
  SpecialTokenFinder(PipelineStages& stages, std::string_view name) : stages_(stages), name_(name) {
    for (size_t id = 0; id < stages.pieces.size(); ++id)
      ids_.emplace(stages.pieces[id], static_cast<int32_t>(id));
  }

  void read_file(const TokenizerFile& file) {
    const nlohmann::json document = parse_json(file.bytes, fmt::format("'{}'", file.name));
    const JsonView root(document, file.name);
    root.expect_object();
    const std::pair<std::string_view, int32_t*> members[] = {{"bos_token", &stages_.bos_id},
                                                             {"eos_token", &stages_.eos_id},
                                                             {"pad_token", &stages_.pad_id},
                                                             {"unk_token", &stages_.unk_id},
                                                             {"mask_token", &stages_.mask_id}};
    for (const auto& [key, id] : members) {
      const auto value = root.find(key);
      if (!value || *id >= 0) continue;
      const std::string text =
          value->value().is_object() ? value->get_string("content") : value->as_string();
      *id = find(text);
      check_input(*id >= 0, "'{}': {} '{}' is not in the vocabulary", file.name, key,
                  text.substr(0, 64));
    }
  }

  void use_well_known_names() {
    use(stages_.bos_id, {"<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>",
                         "<｜begin▁of▁sentence｜>", "[BOS]"});
    use(stages_.eos_id, {"</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "<|im_end|>",
                         "<|eot_id|>", "<｜end▁of▁sentence｜>", "<|eos|>", "[EOS]"});
    use(stages_.pad_id, {"<pad>", "<|pad|>", "<|finetune_right_pad_id|>", "[PAD]"});
    use(stages_.unk_id, {"<unk>", "[UNK]"});
    use(stages_.mask_id, {"<mask>", "[MASK]", "<|mask|>"});
    if (stages_.bos_id < 0 && stages_.before.size() == 1) stages_.bos_id = stages_.before[0];
    if (stages_.eos_id < 0 && stages_.after.size() == 1) stages_.eos_id = stages_.after[0];
  }

 private:
  int32_t find(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? -1 : found->second;
  }

  /// Only an added token can be meant by its name alone.
  void use(int32_t& id, std::initializer_list<std::string_view> names) const {
    for (const std::string_view candidate : names) {
      if (id >= 0) return;
      const bool is_added =
          std::any_of(stages_.added.begin(), stages_.added.end(),
                      [&](const AddedToken& token) { return token.text == candidate; });
      if (is_added) id = find(candidate);
    }
  }

  PipelineStages& stages_;
  std::string_view name_;
  std::unordered_map<std::string_view, int32_t> ids_;
};

}  // namespace

std::vector<std::string_view> companion_file_names() {
  return {kConfigFile, kMapFile, "chat_template.jinja"};
}

void find_special_tokens(PipelineStages& stages, const std::vector<TokenizerFile>& companions,
                         std::string_view name) {
  SpecialTokenFinder finder(stages, name);
  for (const std::string_view wanted : {kConfigFile, kMapFile}) {
    for (const TokenizerFile& file : companions) {
      if (file.name.ends_with(wanted)) finder.read_file(file);
    }
  }
  finder.use_well_known_names();
  if (stages.eos_id < 0) {
    fail(Exit::bad_input,
         fmt::format("'{}' has no end-of-text token (none is named in {})", name, kConfigFile),
         "documents cannot be separated without one: put {\"eos_token\": \"...\"} into "
         "tokenizer_config.json beside it");
  }
}

}  // namespace llm
