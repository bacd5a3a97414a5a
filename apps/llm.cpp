// The program: a table of verbs.
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include "apps/commands.h"
#include "apps/torch_side.h"

namespace {

/// Those that LibTorch computes for come from its side, unless the wanted one is not among them.
std::vector<llm::Command> commands(const std::string& wanted) {
  std::vector<llm::Command> table;
  table.push_back(llm::create_config_command());
  table.push_back(llm::train_tokenizer_command());
  table.push_back(llm::prepare_data_command());
  table.push_back(llm::generate_command());
  table.push_back(llm::chat_command());
  table.push_back(llm::api_command());
  table.push_back(llm::download_command());
  if (llm::find_command(table, wanted) != nullptr) return table;
  std::vector<llm::Command> others = llm::torch_side().commands();
  table.insert(table.begin() + 3, std::make_move_iterator(others.begin()),
               std::make_move_iterator(others.end()));
  table.push_back(llm::completion_command(table));
  return table;
}

}  // namespace

int main(int argc, char** argv) {
  const int status = llm::run_main(commands, argc, argv);
  // Everything is written and closed by now: LibTorch's operators, tens of thousands of small
  // objects, need not be taken apart one by one.
  std::fflush(nullptr);
  std::_Exit(status);
}
