// What follows several prompts, computed together as a config file says.
//
//   batch MODEL CONFIG PROMPT...
//
// CONFIG is a YAML or JSON file with a section `inference` (docs/cpp.md lists its keys); "" for the
// defaults. A line for each prompt goes to stdout.
#include <llm/base/error.h>
#include <llm/language_model.h>

#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: batch MODEL CONFIG PROMPT...\n";
    return 2;
  }
  try {
    const std::string file = argv[2];
    const std::vector<std::string> prompts(argv + 3, argv + argc);
    llm::LanguageModelOptions options;
    options.inference = file.empty() ? llm::InferenceConfig() : llm::load_inference_config(file);
    llm::LanguageModel model(argv[1], options);
    llm::GenerationConfig config = model.generation_defaults();
    config.temperature = 0;
    config.max_new_tokens = 24;

    const std::vector<llm::GeneratedText> texts = model.generate_all(prompts, config);
    for (size_t i = 0; i < texts.size(); ++i) std::cout << prompts[i] << texts[i].text << "\n";
  } catch (const llm::Error& error) {
    std::cerr << "error: " << error.message() << "\n";
    return static_cast<int>(error.code());
  }
}
