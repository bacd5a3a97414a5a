#include "data/synthetic.h"

#include "base/random.h"

namespace llm {

StoryCorpus::StoryCorpus(uint64_t seed) : seed_(seed) {}

Story StoryCorpus::story(int64_t index) const {
  CounterRandom random(combine_keys(seed_, static_cast<uint64_t>(index)));
  uint64_t counter = 0;
  auto [text, nats] = story_grammar().tell([&] { return random.uniform(counter++); });
  return {std::move(text), nats};
}

const GrammarMoments& StoryCorpus::expected() const { return story_grammar().moments(); }

std::optional<double> StoryCorpus::nats_of(std::string_view text) const {
  return story_grammar().nats_of(text);
}

std::function<bool(std::string&)> StoryCorpus::stream(int64_t first, int64_t count) const {
  return [corpus = *this, next = first, end = first + count](std::string& text) mutable {
    if (next >= end) {
      return false;
    }
    text = corpus.story(next++).text;
    return true;
  };
}

}  // namespace llm
