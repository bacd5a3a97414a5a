#include "apps/chat_transcript.h"

namespace llm {

/// Of the turns from `first` on; the replies of those before the `replies`-th.
nlohmann::ordered_json ChatTranscript::messages_from(size_t first, size_t replies) const {
  using Json = nlohmann::ordered_json;
  Json messages = Json::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  for (size_t i = first; i < turns.size(); ++i) {
    messages.push_back({{"role", "user"}, {"content", turns[i].message}});
    if (turns[i].answered && i < replies)
      messages.push_back({{"role", "assistant"}, {"content", turns[i].reply}});
  }
  return messages;
}

}  // namespace llm
