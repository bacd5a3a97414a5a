#include "data/story_data.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/progress.h"
#include "data/synthetic.h"
#include "data/token_file.h"
#include "tokenizer/tokenizer.h"

namespace llm {
namespace {

constexpr int64_t kMostValidationStories = 400;

void write_part(const DataConfig& config, const Tokenizer& tokenizer,
                const std::filesystem::path& prefix, int64_t first, int64_t count,
                const StopRequest& stop) {
  const StoryCorpus corpus(static_cast<uint64_t>(config.synthetic_seed));
  TokenFileWriter writer(prefix, tokenizer.sha256());
  Progress progress(count, "writing the stories", "stories");
  for (int64_t i = first; i < first + count; ++i) {
    end_if_asked(stop);
    progress.update(i - first);
    if (config.text.add_bos && tokenizer.bos_id() >= 0) {
      const int32_t bos = tokenizer.bos_id();
      writer.add({&bos, 1});
    }
    std::vector<int32_t> ids = tokenizer.encode(corpus.story(i).text);
    ids.push_back(tokenizer.eos_id());
    writer.append(ids);
  }
  writer.finish();
}

}  // namespace

StoryCounts story_counts(const DataConfig& config) {
  const auto share = static_cast<int64_t>(
      std::llround(static_cast<double>(config.synthetic_stories) * config.text.val_fraction));
  return {config.synthetic_stories,
          std::clamp<int64_t>(share, config.text.val_fraction > 0 ? 1 : 0, kMostValidationStories)};
}

void write_stories(const DataConfig& config, const Tokenizer& tokenizer,
                   const std::filesystem::path& training, const std::filesystem::path& validation,
                   const StopRequest& stop) {
  const StoryCounts counts = story_counts(config);
  write_part(config, tokenizer, training, 0, counts.training, stop);
  if (counts.validation > 0) {
    write_part(config, tokenizer, validation, counts.training, counts.validation, stop);
  }
}

double story_entropy(const DataConfig& config, const Tokenizer& tokenizer,
                     const std::filesystem::path& validation) {
  const StoryCounts counts = story_counts(config);
  const StoryCorpus corpus(static_cast<uint64_t>(config.synthetic_seed));
  double nats = 0;
  for (int64_t i = counts.training; i < counts.training + counts.validation; ++i) {
    const Story story = corpus.story(i);
    if (tokenizer.decode(tokenizer.encode(story.text)) != story.text) return 0;
    nats += story.nats;
  }
  return nats / static_cast<double>(TokenFile::open(validation).tokens());
}

}  // namespace llm
