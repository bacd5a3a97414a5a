// Texts for tokenizer tests, the same in every run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/utf8.h"
#include "tokenizer/tokenizer_trainer.h"

namespace llm::test {

/// Made-up prose: about `bytes` bytes of words from a small lexicon with a long tail, numbers,
/// punctuation, indents and a few other scripts.
inline std::string sample_prose(size_t bytes, uint64_t seed = 1) {
  Random random(seed);
  const std::vector<std::string> syllables{"ka", "lo", "mi",  "ter", "sen", "du", "vra",
                                           "on", "el", "ist", "ing", "the", "ru", "qua"};
  const std::vector<std::string> others{"über",    "naïve",  "привет", "мир",
                                        "東京",    "日本語", "😀",      "👩‍👩‍👧",
                                        "e\u0301", "Ω"};
  std::vector<std::string> lexicon;
  for (int i = 0; i < 400; ++i) {
    std::string word;
    for (uint64_t left = 1 + random.below(3); left > 0; --left)
      word += syllables[random.below(syllables.size())];
    lexicon.push_back(word);
  }
  std::string text;
  while (text.size() < bytes) {
    if (random.below(12) == 0) text += std::string(4 * (1 + random.below(3)), ' ');
    for (uint64_t left = 3 + random.below(12); left > 0; --left) {
      const double u = random.uniform();
      text += random.below(20) == 0 ? others[random.below(others.size())]
                                    : lexicon[static_cast<size_t>(u * u * 400)];
      if (random.below(15) == 0) text += std::to_string(random.below(3000));
      text += left > 1 ? " " : random.below(8) == 0 ? "!\n\n" : ".\n";
    }
  }
  return text;
}

/// Bytes of every kind: letters, whitespace, NUL, valid and broken UTF-8, the characters
/// SentencePiece keeps for itself, names of special pieces.
inline std::string hostile_text(Random& random, size_t parts) {
  const std::vector<std::string> odd{"<s>",
                                     "</s>",
                                     "<pad>",
                                     "<unk>",
                                     "<mask>",
                                     "<0x41>",
                                     "\xE2\x96\x81",
                                     "\xE2\x96\x85",
                                     "\t",
                                     "\n",
                                     "\r\n",
                                     "  ",
                                     "        ",
                                     std::string(1, '\0'),
                                     "the",
                                     " the",
                                     "\xEF\xBF\xBD",
                                     "\xEF\xBB\xBF",
                                     "\u2028",
                                     "\u00A0",
                                     "e\u0301",
                                     "😀",
                                     "\xED\xA0\x80",
                                     "\xC0\x80",
                                     "\xF4\x90\x80\x80",
                                     "\xE2\x96",
                                     "\xF0\x9F\x98"};
  std::string text;
  for (size_t i = 0; i < parts; ++i) {
    switch (random.below(4)) {
      case 0:
        text += odd[random.below(odd.size())];
        break;
      case 1:
        text += static_cast<char>(random.below(256));
        break;
      case 2:
        utf8::append(text,
                     static_cast<uint32_t>(random.below(2) == 0 ? random.below(0xD800)
                                                                : 0xE000 + random.below(0x102000)));
        break;
      default:
        text += static_cast<char>('a' + random.below(26));
        break;
    }
  }
  return text;
}

/// The whole text at once.
inline TextSource source_of(std::string text) {
  return [text = std::move(text), given = false](std::string& out) mutable {
    if (given) return false;
    out = text;
    return given = true;
  };
}

/// A model of 60 kB of sample prose.
inline TokenizerTraining train_sample(const std::string& model_type, bool byte_fallback,
                                      int64_t vocab_size) {
  TokenizerTrainerConfig config;
  config.model_type = model_type;
  config.byte_fallback = byte_fallback;
  config.vocab_size = vocab_size;
  return train_tokenizer(config, source_of(sample_prose(60'000)));
}

}  // namespace llm::test
