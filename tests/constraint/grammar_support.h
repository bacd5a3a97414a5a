// Grammars in tests: vocabularies, whole matches, random walks over masks.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "serving/constraint/constraint.h"
#include "serving/constraint/gbnf.h"
#include "serving/constraint/json_schema.h"

namespace llm {

using SharedGrammar = std::shared_ptr<const Grammar>;
using SharedVocabulary = std::shared_ptr<const TokenVocabulary>;

/// Every byte as a token, then `more`; the last id is the end.
inline SharedVocabulary byte_vocabulary(const std::vector<std::string>& more = {}) {
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  tokens.insert(tokens.end(), more.begin(), more.end());
  tokens.emplace_back();
  const int32_t end = static_cast<int32_t>(tokens.size()) - 1;
  return std::make_shared<const TokenVocabulary>(tokens, std::span(&end, 1));
}

/// Byte tokens and `count` random ones, cut out of `text`.
inline SharedVocabulary cut_vocabulary(std::string_view text, size_t count, Random& random) {
  std::vector<std::string> tokens;
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = random.below(text.size());
    tokens.emplace_back(text.substr(begin, 1 + random.below(6)));
  }
  return byte_vocabulary(tokens);
}

inline std::shared_ptr<const TokenGrammar> with_bytes(const SharedGrammar& grammar) {
  static const SharedVocabulary bytes = byte_vocabulary();
  return std::make_shared<const TokenGrammar>(grammar, bytes);
}

/// Whether the grammar allows exactly this text.
inline bool matches(const SharedGrammar& grammar, std::string_view text) {
  Constraint constraint(with_bytes(grammar));
  return constraint.accept_bytes(text) && constraint.may_end();
}

inline SharedGrammar schema_of(std::string_view text, JsonSpacing spacing = JsonSpacing::compact) {
  return schema_grammar(nlohmann::ordered_json::parse(text), spacing);
}

inline int32_t random_allowed(const TokenMask& mask, Random& random) {
  uint64_t nth = random.below(mask.allowed);
  for (size_t id = 0;; ++id) {
    if (mask.allows(static_cast<int32_t>(id)) && nth-- == 0) return static_cast<int32_t>(id);
  }
}

/// Draws tokens until the end. After `patience` tokens it takes the end, or whatever closes a
/// string, list or object, wherever it can.
inline std::string random_text(Constraint constraint, Random& random, int patience = 60) {
  std::string text;
  for (int i = 0; !constraint.ended(); ++i) {
    const auto mask = constraint.mask();
    if (mask->allowed == 0 || i > 5000) {
      ADD_FAILURE() << "no way on after " << text.substr(0, 200);
      break;
    }
    const TokenVocabulary& vocabulary = constraint.vocabulary();
    int32_t id = random_allowed(*mask, random);
    if (i > patience && (constraint.may_end() || random.below(2) == 0)) {
      if (constraint.may_end()) {
        id = vocabulary.end_ids()[0];
      } else if (mask->allows('z') && mask->allows('"')) {  // inside a string
        id = '"';
      } else {
        for (const char closer : {'0', '}', ']'}) {
          if (mask->allows(closer)) id = closer;
        }
      }
    }
    EXPECT_TRUE(constraint.accept(id)) << text.substr(0, 200) << " then id " << id;
    text += vocabulary.bytes(id);
  }
  return text;
}

}  // namespace llm
