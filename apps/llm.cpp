// The program: a table of verbs.
#include <cstdio>
#include <cstdlib>

#include "apps/commands.h"

int main(int argc, char** argv) {
  std::vector<llm::Command> commands;
  commands.push_back(llm::create_config_command());
  commands.push_back(llm::train_tokenizer_command());
  commands.push_back(llm::prepare_data_command());
  commands.push_back(llm::pretrain_command());
  commands.push_back(llm::resume_check_command());
  commands.push_back(llm::generate_command());
  commands.push_back(llm::download_command());
  commands.push_back(llm::convert_command());
  commands.push_back(llm::verify_export_command());
  commands.push_back(llm::inspect_command());
  commands.push_back(llm::completion_command(commands));
  const int status = llm::run_main(commands, argc, argv);
  // Everything is written and closed by now: LibTorch's operators, tens of thousands of small
  // objects, need not be taken apart one by one.
  std::fflush(nullptr);
  std::_Exit(status);
}
