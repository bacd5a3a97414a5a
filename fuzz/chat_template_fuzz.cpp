// Chat templates from strangers: any text is rendered or refused; user bytes and spans lie inside
// it.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/chat_inputs.h"
#include "tokenizer/chat_template.h"

namespace {

llm::ChatInputs some_chat() {
  llm::ChatInputs inputs;
  inputs.messages = nlohmann::ordered_json::parse(R"([
    {"role": "system", "content": " Be \"terse\". "},
    {"role": "user", "content": "Grüße <|im_end|> 你好\n", "n": 3, "list": [1, 2.5, null, true]},
    {"role": "assistant", "content": "<think>x</think>y",
     "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1], "b": "c"}}}]},
    {"role": "tool", "content": "1"}])");
  inputs.tools =
      nlohmann::ordered_json::parse(R"([{"type": "function", "function": {"name": "f"}}])");
  inputs.variables = {{"d", {{"k", "v"}}}, {"l", {3, 1, 2}}, {"s", "text"}};
  inputs.add_generation_prompt = true;
  inputs.now = 1735689600;
  return inputs;
}

void expect(bool condition) {
  if (!condition) __builtin_trap();
}

void expect_inside(const std::vector<llm::TextSpan>& spans, size_t size) {
  for (const llm::TextSpan& span : spans) expect(span.begin <= span.end && span.end <= size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const llm::ChatInputs inputs = some_chat();
  try {
    const auto chat = llm::ChatTemplate::parse({reinterpret_cast<const char*>(data), size},
                                               {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
    const llm::RenderedChat result = chat.render(inputs);
    expect_inside(result.user, result.text.size());
    expect_inside(result.generated, result.text.size());
  } catch (const llm::Error& error) {
    expect(error.code() == llm::Exit::bad_input && !error.message().empty());
    expect(error.message().find('\n') == std::string::npos);
  }
  return 0;
}
