#include "data/chat_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/loss_mask.h"
#include "data/prepare.h"
#include "tests/data/byte_tokenizer.h"
#include "tests/data/data_test_support.h"
#include "tokenizer/chat_prompt.h"
#include "tokenizer/model_tokenizer.h"

namespace llm {
namespace {

/// Bytes, and what templates need: <s> is 1 and </s> is 2 where a template spells them.
class SpecialByteTokenizer final : public ByteTokenizer {
 public:
  std::vector<int32_t> encode_with_special(std::string_view text) const override {
    std::vector<int32_t> ids;
    while (!text.empty()) {
      const int32_t special = text.starts_with("<s>") ? 1 : text.starts_with("</s>") ? 2 : -1;
      ids.push_back(special >= 0 ? special : 5 + static_cast<unsigned char>(text[0]));
      text.remove_prefix(special == 1 ? 3 : special == 2 ? 4 : 1);
    }
    return ids;
  }
  std::string_view token_text(int32_t id) const override {
    return id == 1 ? "<s>" : id == 2 ? "</s>" : ByteTokenizer::token_text(id);
  }
};

const SpecialByteTokenizer kTokenizer;

/// What is learnt in brackets, eos as $, bos as ^.
std::string shown(const MarkedIds& marked) {
  std::string text;
  bool inside = false;
  for (size_t i = 0; i < marked.ids.size(); ++i) {
    const bool learnt = marked.learnt.at(i) != 0;
    text += learnt == inside ? "" : learnt ? "[" : "]";
    inside = learnt;
    const int32_t id = marked.ids[i];
    text += id == 1 ? "^" : id == 2 ? "$" : std::string(kTokenizer.token_bytes(id));
  }
  return text + (inside ? "]" : "");
}

ChatFormat format_of(std::string_view source, bool train_on_prompt = false) {
  return {std::make_shared<const ChatTemplate>(
              ChatTemplate::parse(source, special_tokens_of(kTokenizer))),
          train_on_prompt};
}

std::string encoded(std::string_view row, const ChatFormat& format) {
  return shown(RowEncoder(kTokenizer, format)
                   .encode(parse_json_row(row, "a.jsonl:1", {}), "a.jsonl:1")
                   .marked);
}

constexpr std::string_view kMessages =
    R"({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"},)"
    R"( {"role": "user", "content": "so?"}, {"role": "assistant", "content": "ok"}]})";

/// No generation blocks: turns of <s>role\ncontent</s>\n.
constexpr std::string_view kTurns =
    "{% for m in messages %}{{ bos_token + m.role + '\\n' + m.content + eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}{{ bos_token }}assistant\n{% endif %}";

TEST(ChatFormat, RepliesAreWhatRenderingThemAdds) {
  EXPECT_EQ(encoded(kMessages, format_of(kTurns)),
            "^user\nhi$\n^assistant\n[yo$\n]^user\nso?$\n^assistant\n[ok$\n]");
}

TEST(ChatFormat, GenerationBlocksSayWhatIsLearnt) {
  EXPECT_EQ(encoded(kMessages, format_of(plain_chat_template(kTokenizer))),
            "user:\nhi\nassistant:\n[yo$]user:\nso?\nassistant:\n[ok$]");
}

TEST(ChatFormat, ThePlainTemplatePromptsWithWhatItTrainsOn) {
  const ChatTemplate plain =
      ChatTemplate::parse(plain_chat_template(kTokenizer), special_tokens_of(kTokenizer));
  const ChatPrompts prompts(kTokenizer, plain);
  EXPECT_EQ(
      prompts
          .prompt({{{"role", "system"}, {"content", "be"}}, {{"role", "user"}, {"content", "hi"}}})
          .text,
      "system:\nbe\nuser:\nhi\nassistant:\n");
}

TEST(ChatFormat, OnTrainOnPromptAllIsLearnt) {
  EXPECT_EQ(encoded(kMessages, format_of(plain_chat_template(kTokenizer), true)),
            "[user:\nhi\nassistant:\nyo$user:\nso?\nassistant:\nok$]");
}

TEST(ChatFormat, PairsAreConversations) {
  const ChatFormat format = format_of(plain_chat_template(kTokenizer));
  EXPECT_EQ(encoded(R"({"prompt": "2+2", "response": "4"})", format),
            "user:\n2+2\nassistant:\n[4$]");
  EXPECT_EQ(encoded(R"({"prompt": "2+2", "completion": "4"})", format),
            "user:\n2+2\nassistant:\n[4$]");
  EXPECT_EQ(encoded(R"({"instruction": "add", "input": "2 2", "output": "4"})", format),
            "user:\nadd\n2 2\nassistant:\n[4$]");
  EXPECT_EQ(encoded(R"({"system": "s", "prompt": "p", "response": "r"})", format),
            "system:\ns\nuser:\np\nassistant:\n[r$]");
  EXPECT_EQ(encoded(R"({"system": "s", "instruction": "add", "output": "4"})", format),
            "system:\ns\nuser:\nadd\nassistant:\n[4$]");
  EXPECT_EQ(encoded(R"({"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", )"
                    R"("content": "b"}, {"role": "user", "content": "c"}], "completion": )"
                    R"([{"role": "assistant", "content": "d"}]})",
                    format),
            "user:\na\nassistant:\nb$user:\nc\nassistant:\n[d$]");
  EXPECT_EQ(encoded(R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", )"
                    R"("value": "b"}]})",
                    format),
            "user:\na\nassistant:\n[b$]");
}

TEST(ChatFormat, WithoutATemplateTheRepliesOfThePlainTextAreLearnt) {
  const ChatFormat format{nullptr, false};
  EXPECT_EQ(encoded(R"({"prompt": "2+2", "response": "4"})", format), "2+2\n[4]");
  EXPECT_EQ(encoded(kMessages, format), "user: hi\nassistant: [yo]\nuser: so?\nassistant: [ok]");
  EXPECT_EQ(encoded(R"({"text": "all of it"})", format), "[all of it]");
}

TEST(ChatFormat, AMessageOfNoWeightIsNotLearnt) {
  constexpr std::string_view kRow =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", )"
      R"("weight": 0}, {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]})";
  EXPECT_EQ(encoded(kRow, format_of(plain_chat_template(kTokenizer))),
            "user:\na\nassistant:\nb$user:\nc\nassistant:\n[d$]");
  EXPECT_EQ(encoded(kRow, {nullptr, false}), "user: a\nassistant: b\nuser: c\nassistant: [d]");
}

TEST(ChatFormat, AReplyThatTheTemplateShowsOtherwiseLaterIsNotLearnt) {
  // What stands before a bar is a thought, shown only in the last message.
  constexpr std::string_view kThoughts =
      "{% for m in messages %}{{ m.role }}:{{ m.content if loop.last else "
      "m.content.split('|')[-1] }};{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
  constexpr std::string_view kRow =
      R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "t|b"}, )"
      R"({"role": "user", "content": "c"}, {"role": "assistant", "content": "u|d"}]})";
  EXPECT_EQ(encoded(kRow, format_of(kThoughts)), "user:a;assistant:b;user:c;assistant:[u|d;]");
}

TEST(ChatFormat, SpellingsOfControlTokensInAMessageStayText) {
  const MarkedIds marked =
      RowEncoder(kTokenizer, format_of(kTurns))
          .encode(parse_json_row(R"({"prompt": "</s>", "response": "<s>"})", "p", {}), "p")
          .marked;
  EXPECT_EQ(std::count(marked.ids.begin(), marked.ids.end(), 2), 2) << "one end for each turn";
  EXPECT_EQ(std::count(marked.ids.begin(), marked.ids.end(), 1), 2);
}

TEST(ChatFormat, AnEdgeNeverCutsAControlTokenOrACharacter) {
  // The prompt goes on with <s> where the reply has </s>: one byte of the two is the same.
  constexpr std::string_view kMarks =
      "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}"
      "{{ m.content }}{% endfor %}{% if add_generation_prompt %}assistant:{{ bos_token }}{% endif "
      "%}";
  EXPECT_EQ(encoded(R"({"prompt": "a", "response": "b"})", format_of(kMarks)),
            "user:aassistant:[$b]");
  // U+00E9 and U+00E8 begin alike.
  constexpr std::string_view kAccents =
      "{% for m in messages %}{{ m.content }};{% endfor %}{% if add_generation_prompt %}\u00e9{% "
      "endif %}";
  EXPECT_EQ(encoded("{\"prompt\": \"a\", \"response\": \"\u00e8\"}", format_of(kAccents)),
            "a;[\u00e8;]");
}

TEST(ChatFormat, RowsThatCannotBeRenderedAreNamed) {
  const ChatFormat format = format_of(plain_chat_template(kTokenizer));
  const std::string chat = R"("messages": [{"role": "assistant", "content": "a")";
  expect_error(Exit::bad_input, "a.jsonl:1: the number 1e999 is out of range",
               [&] { encoded("{" + chat + R"(, "n": 1e999}]})", format); });
  expect_error(Exit::bad_input, "nesting deeper than 64", [&] {
    encoded("{\"tools\": \"" + std::string(100'000, '[') + "\", " + chat + "}]}", format);
  });
  EXPECT_EQ(encoded("{\"tools\": \"\", " + chat + "}]}", format), "assistant:\n[a$]");
}

TEST(ChatFormat, TemplatesSeeToolsAndToolCalls) {
  constexpr std::string_view kTools =
      "{{ tools | length if tools else 0 }}{% for m in messages %} {{ m.role }}:"
      "{{ m.tool_calls[0].name if m.tool_calls else m.content }}{% endfor %}";
  constexpr std::string_view kCalls =
      R"("messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null, )"
      R"("tool_calls": [{"name": "f"}]}])";
  const ChatFormat format = format_of(kTools);
  EXPECT_EQ(encoded(fmt::format("{{\"tools\": [{{}}, {{}}], {}}}", kCalls), format),
            "2 user:a[ assistant:f]");
  EXPECT_EQ(encoded(fmt::format("{{\"tools\": \"[{{}}]\", {}}}", kCalls), format),
            "1 user:a[ assistant:f]")
      << "some corpora keep the list as a text";
  expect_error(Exit::bad_input, "a.jsonl:1: \"tools\": invalid JSON at column 2",
               [&] { encoded(fmt::format("{{\"tools\": \"[\", {}}}", kCalls), format); });
}

TEST(ChatFormat, ATemplatesRefusalNamesTheRow) {
  expect_error(Exit::bad_input, "a.jsonl:1: chat_template line 1: the template refuses: no",
               [&] { encoded(kMessages, format_of("{{ raise_exception('no') }}")); });
}

TEST(ChatFormat, TheTurnEndIsTheControlTokenOfAReply) {
  EXPECT_EQ(turn_end(kTokenizer, format_of(kTurns)), 2);
  EXPECT_EQ(turn_end(kTokenizer, format_of("{% for m in messages %}{{ m.content }}{% endfor %}")),
            std::nullopt);
}

/// Documents of a prepared file, as shown().
std::vector<std::string> prepared(const Scratch& scratch, std::string_view rows, ChatFormat format,
                                  bool add_bos = false) {
  PrepareOptions options;
  options.inputs = {scratch.file("a.jsonl", rows)};
  options.output = scratch.path / "out";
  options.workers = 2;
  options.add_bos = add_bos;
  options.chat = std::move(format);
  prepare_data(options, kTokenizer);
  const TokenFile file = TokenFile::open(scratch.path / "out");
  std::vector<std::string> documents;
  for (int64_t s = 0; s < file.sequences(); ++s) {
    const auto ids = file.sequence(s);
    MarkedIds marked{{ids.begin(), ids.end()}, std::vector<uint8_t>(ids.size(), 1)};
    if (file.loss_mask() != nullptr) {
      file.loss_mask()->read(file.first_token(s), marked.learnt);
    }
    documents.push_back(shown(marked));
  }
  return documents;
}

TEST(ChatFormat, TheFirstDocumentHasItsMarksToo) {
  const Scratch scratch;
  using Texts = std::vector<std::string>;
  EXPECT_EQ(prepared(scratch, "{\"prompt\": \"p\", \"response\": \"r\"}\n",
                     format_of(plain_chat_template(kTokenizer))),
            (Texts{"user:\np\nassistant:\n[r$]"}));
  EXPECT_EQ(content_of(scratch.path / "out.jinja"), plain_chat_template(kTokenizer));
  EXPECT_EQ(prepared(scratch, "{\"text\": \"t\"}\n", format_of(plain_chat_template(kTokenizer))),
            (Texts{"[t$]"}));
  EXPECT_FALSE(std::filesystem::exists(scratch.path / "out.jinja"))
      << "no conversation, no template";
}

TEST(ChatFormat, EveryChunkMarksItsFirstDocument) {
  const Scratch scratch;
  std::string rows;
  for (int i = 0; i < 3000; ++i) {  // several chunks
    rows += fmt::format("{{\"prompt\": \"{}\", \"response\": \"r\"}}\n", std::string(150, 'q'));
  }
  for (const std::string& document :
       prepared(scratch, rows, format_of(plain_chat_template(kTokenizer)))) {
    EXPECT_TRUE(document.starts_with("user:\nqqq") && document.ends_with("[r$]")) << document;
  }
}

TEST(ChatFormat, AValidationPartWithoutTargetsIsNotWritten) {
  const Scratch scratch;
  std::string rows = "{\"text\": \"t\"}\n";
  for (int i = 0; i < 50; ++i) {
    rows += fmt::format(
        "{{\"messages\": [{{\"role\": \"assistant\", \"content\": \"{}\", "
        "\"weight\": 0.0}}]}}\n",
        i);
  }
  PrepareOptions options;
  options.inputs = {scratch.file("a.jsonl", rows)};
  options.output = scratch.path / "train";
  options.chat = format_of(plain_chat_template(kTokenizer));
  options.val_fraction = 0.3;
  for (options.seed = 0; options.seed < 20; ++options.seed) {
    try {
      const PrepareResult result = prepare_data(options, kTokenizer);
      EXPECT_TRUE(result.val.prefix.empty());
      EXPECT_EQ(result.train.tokens_to_learn, 2);
    } catch (const Error& error) {  // the one text went to validation
      EXPECT_EQ(error.code(), Exit::bad_input);
    }
  }
}

TEST(ChatFormat, PreparedDocumentsEndOnce) {
  const Scratch scratch;
  const std::string rows = "{\"text\": \"plain\"}\n{\"prompt\": \"p\", \"response\": \"r\"}\n";
  using Texts = std::vector<std::string>;
  EXPECT_EQ(prepared(scratch, rows, format_of(plain_chat_template(kTokenizer)), true),
            (Texts{"[^plain$]", "user:\np\nassistant:\n[r$]"}))
      << "a template writes its own begin and end";
  EXPECT_EQ(prepared(scratch, rows, {nullptr, false}), (Texts{"[plain$]", "p\n[r$]"}));
  EXPECT_EQ(prepared(scratch, rows, {nullptr, false}, true), (Texts{"[^plain$]", "^p\n[r$]"}));
  EXPECT_EQ(prepared(scratch, rows, {}), (Texts{"[plain$]", "[p\nr$]"}));
  EXPECT_EQ(TokenFile::open(scratch.path / "out").loss_mask(), nullptr);
}

TEST(ChatFormat, AnyNumberOfWorkersGivesTheSameMask) {
  const Scratch scratch;
  std::string rows;
  for (int i = 0; i < 4000; ++i) {
    rows += i % 3 == 0 ? fmt::format("{{\"text\": \"row {}\"}}\n", i)
                       : fmt::format("{{\"prompt\": \"{}{}\", \"response\": \"{}\"}}\n", i,
                                     std::string(static_cast<size_t>(i % 90), 'q'), i);
  }
  PrepareOptions options;
  options.inputs = {scratch.file("a.jsonl", rows)};
  options.chat = format_of(plain_chat_template(kTokenizer));
  options.val_fraction = 0.2;
  for (const int64_t workers : {1, 3}) {
    options.workers = workers;
    options.output = scratch.path / fmt::format("w{}", workers) / "train";
    prepare_data(options, kTokenizer);
    verify_token_file(options.output);
  }
  for (const char* file : {"train.bin", "train.mask", "val.bin", "val.mask"}) {
    EXPECT_EQ(content_of(scratch.path / "w1" / file), content_of(scratch.path / "w3" / file));
  }
}

}  // namespace
}  // namespace llm
