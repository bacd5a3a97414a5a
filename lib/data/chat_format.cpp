#include "data/chat_format.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "tokenizer/chat_inputs.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::null:
      return nullptr;
    case JsonValue::Kind::boolean:
    case JsonValue::Kind::number: {
      Json parsed = Json::parse(value.text, nullptr, /*allow_exceptions=*/false);
      check_input(!parsed.is_discarded(), "the number {} is out of range", value.text);
      return parsed;
    }
    case JsonValue::Kind::string:
      return value.text;
    case JsonValue::Kind::array: {
      Json list = Json::array();
      for (const JsonValue& element : value.elements) {
        list.push_back(to_json(element));
      }
      return list;
    }
    case JsonValue::Kind::object:
      break;
  }
  Json object = Json::object();
  for (const JsonMember& member : value.members) {
    object[member.name] = to_json(member.value);
  }
  return object;
}

/// Role and content under their usual names, then what else the row says of the message (tool
/// calls, names, thoughts).
Json template_message(const RowMessage& message) {
  Json json = {{"role", message.role}, {"content", message.content}};
  if (message.source == nullptr) {
    return json;
  }
  for (const JsonMember& member : message.source->members) {
    static constexpr std::array<std::string_view, 6> kShown = {"role",  "content", "from",
                                                               "value", "weight",  "train"};
    if (std::find(kShown.begin(), kShown.end(), member.name) == kShown.end()) {
      json[member.name] = to_json(member.value);
    }
  }
  return json;
}

/// A list, or, as some corpora keep it, the text of one.
Json tools_of(const JsonValue& tools) {
  if (tools.kind != JsonValue::Kind::string) {
    return to_json(tools);
  }
  return tools.text.empty() ? Json() : to_json(scan_json(tools.text, "\"tools\""));
}

size_t common_prefix(std::string_view a, std::string_view b) {
  const auto end = std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first;
  return static_cast<size_t>(end - a.begin());
}

/// What every reply adds to the chat, by rendering the chat as far as it and without it.
std::vector<TextSpan> reply_spans(const ChatTemplate& chat, const ChatInputs& inputs,
                                  const RowContent& content, std::string_view whole) {
  std::vector<TextSpan> spans;
  for (size_t i = 0; i < content.messages.size(); ++i) {
    const RowMessage& message = content.messages[i];
    if (message.role != "assistant" || !message.learn) {
      continue;
    }
    const bool last = i + 1 == content.messages.size();
    ChatInputs until = inputs;
    const auto first = inputs.messages.begin();
    until.messages = Json(first, first + static_cast<ptrdiff_t>(i + 1));
    const std::string with = last ? std::string(whole) : chat.render(until).text;
    if (!whole.starts_with(with)) {
      continue;  // shown otherwise later on
    }
    until.messages.erase(i);
    until.add_generation_prompt = true;
    const std::string before = i == 0 ? std::string() : chat.render(until).text;
    const size_t begin =
        std::max(common_prefix(before, with), spans.empty() ? 0 : spans.back().end);
    if (begin < with.size()) {
      spans.push_back({begin, with.size()});
    }
  }
  return spans;
}

/// The last id that is not white space, where it is a control token.
std::optional<int32_t> control_end(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    if (tokenizer.is_special(*id) && *id != tokenizer.unk_id()) {
      return *id;
    }
    if (tokenizer.token_bytes(*id).find_first_not_of(" \t\r\n") != std::string_view::npos) {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

std::filesystem::path dataset_template_path(const std::filesystem::path& prefix) {
  return prefix.string() + ".jinja";
}

std::string plain_chat_template(const Tokenizer& tokenizer) {
  return std::string(begins_texts_with_bos(tokenizer) ? "{{- bos_token -}}\n" : "") +
         "{%- for message in messages -%}\n"
         "{{- message.role + ':\\n' -}}\n"
         "{%- if message.role == 'assistant' -%}\n"
         "{%- generation -%}{{- message.content + eos_token -}}{%- endgeneration -%}\n"
         "{%- else -%}\n"
         "{{- message.content + '\\n' -}}\n"
         "{%- endif -%}\n"
         "{%- endfor -%}\n"
         "{%- if add_generation_prompt -%}{{- 'assistant:\\n' -}}{%- endif -%}\n";
}

std::optional<int32_t> turn_end(const Tokenizer& tokenizer, const ChatFormat& format) {
  RowContent content;
  content.messages = {{"user", "a"}, {"assistant", "b"}};
  const MarkedIds marked = RowEncoder(tokenizer, {format.chat_template, /*train_on_prompt=*/false})
                               .encode(content, "chat template")
                               .marked;
  std::vector<int32_t> learnt;
  for (size_t i = 0; i < marked.ids.size(); ++i) {
    if (marked.learnt[i] != 0) {
      learnt.push_back(marked.ids[i]);
    }
  }
  return control_end(tokenizer, learnt);
}

RowEncoder::RowEncoder(const Tokenizer& tokenizer, ChatFormat format)
    : tokenizer_(tokenizer), format_(std::move(format)), encoder_(tokenizer) {}

RowEncoder::Row RowEncoder::encode(const RowContent& content, std::string_view place) const {
  if (!content.messages.empty() && format_.chat_template) {
    try {
      return encode_chat(content);
    } catch (const Error& error) {
      fail(error.code(), fmt::format("{}: {}", place, error.message()), error.hint());
    }
  }
  std::vector<ByteSpan> replies;
  std::string text = plain_text(content, &replies);
  std::vector<TextSpan> learnt;
  for (const ByteSpan& span : replies) {
    learnt.push_back({span.begin, span.end});
  }
  if (content.messages.empty() || format_.train_on_prompt) {
    learnt = {{0, text.size()}};
  }
  return encode_text(std::move(text), std::move(learnt));
}

RowEncoder::Row RowEncoder::encode_text(std::string text, std::vector<TextSpan> learnt) const {
  RenderedChat plain;
  plain.text = std::move(text);
  plain.user = {{0, plain.text.size()}};
  Row row;
  row.text_bytes = static_cast<int64_t>(plain.text.size());
  row.marked = encoder_.encode_marked(plain, learnt);
  return row;
}

RowEncoder::Row RowEncoder::encode_chat(const RowContent& content) const {
  ChatInputs inputs;
  for (const RowMessage& message : content.messages) {
    inputs.messages.push_back(template_message(message));
  }
  if (content.tools != nullptr) {
    inputs.tools = tools_of(*content.tools);
  }
  const RenderedChat chat = format_.chat_template->render(inputs);
  std::vector<TextSpan> learnt = {{0, chat.text.size()}};
  if (!format_.train_on_prompt) {
    const bool all_replies = std::none_of(content.messages.begin(), content.messages.end(),
                                          [](const RowMessage& message) { return !message.learn; });
    learnt = all_replies && !chat.generated.empty()
                 ? chat.generated
                 : reply_spans(*format_.chat_template, inputs, content, chat.text);
  }
  Row row;
  row.text_bytes = static_cast<int64_t>(chat.text.size());
  row.marked = encoder_.encode_marked(chat, learnt);
  row.from_template = true;
  row.ends_itself = control_end(tokenizer_, row.marked.ids).has_value();
  return row;
}

}  // namespace llm
