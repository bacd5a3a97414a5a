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

/// OpenMP's threads, which LibTorch brings along, spin for milliseconds before they sleep. Where
/// other programs use the same cores, that takes the time of the thread that all wait for. Some
/// tenths of a millisecond are as good on idle cores (docs/performance.md). Read as LibTorch is
/// loaded; what the user has set holds.
void let_waiting_threads_sleep() {
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) setenv("GOMP_SPINCOUNT", "10000", 0);
}

}  // namespace

int main(int argc, char** argv) {
  let_waiting_threads_sleep();
  const int status = llm::run_main(commands, argc, argv);
  // Everything is written and closed by now: LibTorch's operators, tens of thousands of small
  // objects, need not be taken apart one by one.
  std::fflush(nullptr);
  std::_Exit(status);
}
