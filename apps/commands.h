// The verbs that exist, each in apps/commands/<verb>.cpp.
#pragma once

#include "apps/command.h"

namespace llm {

Command create_config_command();
Command train_tokenizer_command();
Command prepare_data_command();
Command pretrain_command();
Command finetune_command();
Command resume_check_command();
Command generate_command();
Command api_command();
Command chat_command();
Command download_command();
Command convert_command();
Command verify_export_command();
Command inspect_command();
Command completion_command(const std::vector<Command>& commands);

}  // namespace llm
