#include "apps/tokenizer_settings.h"

#include <array>

#include "apps/key_rules.h"
#include "base/error.h"

namespace llm {
namespace {

constexpr const char* kPath = "tokenizer.path";
constexpr const char* kPieces = "tokenizer.vocab_size";
/// Besides the number of pieces. The type first: with another one the rest means something else.
constexpr std::array<const char*, 4> kTrainedWith{"tokenizer.model_type", "tokenizer.byte_fallback",
                                                  "tokenizer.character_coverage",
                                                  "tokenizer.max_sentences"};

FieldOrigin::Kind origin_of(const Fields& fields, const char* path) {
  return fields.find(path)->origin().kind;
}

bool is_order(const Fields& fields, const char* path) {
  return fields.find(path)->origin().is_order();
}

/// Of a named tokenizer nothing was trained: an option that says how would be dropped.
void refuse_training_orders(const std::string& path, const Fields& fields) {
  TokenizerTrainerConfig usual;
  Fields usual_fields;
  usual_fields.section("tokenizer", usual);
  const FieldTexts usual_texts = texts_of(usual_fields);
  for (const char* key : kTrainedWith) {
    const std::string value = fields.find(key)->text();
    if (is_order(fields, key) && value != usual_texts.at(key)) {
      fail(Exit::bad_input,
           fmt::format("{} is {}, but the run was made with the tokenizer '{}'", key, value, path),
           "leave it out, or train another run in another --output-dir");
    }
  }
}

[[noreturn]] void refuse_change(const char* key, const std::string& before,
                                const std::string& now) {
  fail(Exit::bad_input,
       fmt::format("{} is {} in the checkpoint, {} in the config", key, before, now),
       "a run keeps its tokenizer; another one needs another --output-dir");
}

}  // namespace

bool tells_stories(const RunConfig& config) {
  return config.data.path.empty() && !config.data.use_lmsys_dataset;
}

PiecesAsked pieces_asked(const RunConfig& config, const Fields& fields) {
  constexpr int64_t kStoryVocabulary = 512;
  const auto pieces = origin_of(fields, kPieces);
  const auto rows = origin_of(fields, "model.vocab_size");
  if (rows > pieces) return {config.model.vocab_size, rows};
  if (pieces == FieldOrigin::by_default && tells_stories(config)) return {kStoryVocabulary};
  return {config.tokenizer.vocab_size, pieces};
}

TokenizerSettings tokenizer_settings(const RunConfig& config, const Fields& fields) {
  if (!config.tokenizer.path.empty()) return {{kPath, config.tokenizer.path}};
  TokenizerSettings settings{{kPieces, std::to_string(pieces_asked(config, fields).count)}};
  for (const char* key : kTrainedWith) {
    settings[key] = fields.find(key)->text();
  }
  return settings;
}

TokenizerSettings tokenizer_settings_of(const std::map<std::string, std::string>& checkpoint) {
  TokenizerSettings settings;
  for (const auto& [key, value] : checkpoint) {
    if (key.starts_with("tokenizer.")) settings[key] = value;
  }
  return settings;
}

void compare_tokenizer_settings(const TokenizerSettings& saved, const RunConfig& config,
                                const Fields& fields, const Tokenizer& tokenizer) {
  const std::string pieces = std::to_string(tokenizer.vocab_size());
  const std::string asked = std::to_string(pieces_asked(config, fields).count);
  if (const auto path = saved.find(kPath); path != saved.end()) {
    refuse_training_orders(path->second, fields);
  }
  for (const char* key : kTrainedWith) {
    const auto before = saved.find(key);
    const std::string now = fields.find(key)->text();
    if (before != saved.end() && before->second != now) refuse_change(key, before->second, now);
  }
  // An order that the text or the stories could not fill is the same order again.
  const auto before = saved.find(kPieces);
  const bool same = asked == pieces || (before != saved.end() && before->second == asked);
  if (!saved.empty() && is_order(fields, kPieces) && !same) refuse_change(kPieces, pieces, asked);
}

}  // namespace llm
