// A text shown while it is written, and stopped by the one who reads it.
//
//   stream MODEL PROMPT [MAX_TOKENS [MAX_BYTES]]
//
// The callback gets pieces that are whole UTF-8 characters and ends the text by returning false,
// here after MAX_BYTES. How to build this is told in CMakeLists.txt beside it.
#include <llm/language_model.h>

#include <exception>
#include <iostream>
#include <string>
#include <string_view>

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: stream MODEL PROMPT [MAX_TOKENS [MAX_BYTES]]\n";
    return 2;
  }
  try {
    llm::LanguageModel model(argv[1]);
    llm::GenerationConfig config = model.generation_defaults();
    config.temperature = 0;
    config.max_new_tokens = argc > 3 ? std::stoi(argv[3]) : 100;
    const size_t most = argc > 4 ? std::stoul(argv[4]) : std::string::npos;

    size_t written = 0;
    std::cout << argv[2];
    const llm::GeneratedText text = model.generate(argv[2], config, [&](std::string_view piece) {
      std::cout << piece << std::flush;
      written += piece.size();
      return written < most;
    });
    std::cout << "\n";
    std::cerr << text.new_ids().size() << " tokens, " << text.tokens_per_second
              << " a second; finish reason " << text.finish_reason << "\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 1;
  }
}
