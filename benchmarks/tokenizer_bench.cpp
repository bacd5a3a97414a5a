// Our side of tokenizer_speed.py and of tests/support/check_tokenizer_parity.py. Usage:
//   tokenizer_bench encode TOKENIZER FILE   on each line "go": encodes FILE once, prints seconds
//   tokenizer_bench lines TOKENIZER FILE    the same, line by line
//   tokenizer_bench load TOKENIZER          on each line: loads the file, prints seconds
//   tokenizer_bench train VOCAB_SIZE FILE   on each line: trains a byte-level BPE, prints seconds
//   tokenizer_bench ids TOKENIZER           each line is a JSON string: prints [ids, text they
//   give]
// One JSON value per line on standard output.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file_io.h"
#include "base/utf8.h"
#include "benchmarks/guarded_main.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/tokenizer_trainer.h"

namespace {

using namespace llm;

double seconds_of(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Does `action`, which returns a count, for every line of standard input.
void on_request(const std::function<size_t()>& action) {
  for (std::string line; std::getline(std::cin, line);) {
    size_t count = 0;
    const double seconds = seconds_of([&] { count = action(); });
    fmt::print("{{\"seconds\": {}, \"count\": {}}}\n", seconds, count);
    std::fflush(stdout);
  }
}

void print_ids(const Tokenizer& tokenizer) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto text = nlohmann::json::parse(line).get<std::string>();
    const std::vector<int32_t> ids = tokenizer.encode_with_special(text);
    const nlohmann::json answer = {ids, utf8::replace_invalid(tokenizer.decode(ids))};
    fmt::print("{}\n", answer.dump());
    std::fflush(stdout);
  }
}

size_t encode_lines(const Tokenizer& tokenizer, std::string_view text) {
  size_t count = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    count += tokenizer.encode(text.substr(0, end)).size();
    text.remove_prefix(end);
  }
  return count;
}

size_t train(int64_t vocab_size, const std::string& text) {
  TokenizerTrainerConfig config;
  config.model_type = "byte-bpe";
  config.vocab_size = vocab_size;
  bool given = false;
  const TokenizerTraining training = train_tokenizer(config, [&](std::string& out) {
    if (std::exchange(given, true)) return false;
    out = text;
    return true;
  });
  return static_cast<size_t>(training.vocab_size);
}

int run(int argc, char** argv) {
  const std::string mode = argc > 2 ? argv[1] : "";
  const std::string text = argc > 3 ? read_file(argv[3]) : "";
  if (mode == "train") {
    on_request([&] { return train(count_argument("VOCABULARY", argv[2]), text); });
    return 0;
  }
  check(argc > 2, "usage: tokenizer_bench encode|lines|load|ids TOKENIZER [FILE]");
  const auto tokenizer = load_tokenizer(argv[2]);
  if (mode == "ids")
    print_ids(*tokenizer);
  else if (mode == "load")
    on_request([&] { return static_cast<size_t>(load_tokenizer(argv[2])->vocab_size()); });
  else if (mode == "lines")
    on_request([&] { return encode_lines(*tokenizer, text); });
  else
    on_request([&] { return tokenizer->encode(text).size(); });
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return guarded_main("tokenizer_bench", [&] { return run(argc, argv); });
}
