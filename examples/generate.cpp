// The text that follows a prompt, from any model directory, .gguf file or name in the hub's cache.
//
//   generate MODEL PROMPT [MAX_TOKENS]
//
// The text goes to stdout, the token ids to stderr: those of the prompt come first. How to build
// this is told in CMakeLists.txt beside it, the rest in docs/cpp.md.
#include <llm/base/error.h>
#include <llm/language_model.h>

#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: generate MODEL PROMPT [MAX_TOKENS]\n";
    return 2;
  }
  try {
    llm::LanguageModel model(argv[1]);
    llm::GenerationConfig config = model.generation_defaults();  // the model's own settings
    config.temperature = 0;  // always the most probable token; leave it out to sample
    config.max_new_tokens = argc > 3 ? std::stoi(argv[3]) : 100;

    const llm::GeneratedText text = model.generate(argv[2], config);
    std::cout << argv[2] << text.text << "\n";

    std::cerr << "ids:";
    for (const int32_t id : text.ids) std::cerr << " " << id;
    std::cerr << "\n"
              << text.prompt_tokens << " of them are the prompt's; finish reason "
              << text.finish_reason << "\n";
  } catch (const llm::Error& error) {
    std::cerr << "error: " << error.message() << "\n";
    if (!error.hint().empty()) std::cerr << "hint: " << error.hint() << "\n";
    return static_cast<int>(error.code());  // as the program llm would end
  }
}
