// Section `inference` of a config file for `llm api`: what programs that embed the engine write
// there (serving/inference_config.h) holds for the server, too.
#pragma once

#include "apps/serving_config.h"
#include "serving/generation_config.h"
#include "serving/inference_config.h"
#include "text/text_model.h"

namespace llm {

/// Carries the keys that somebody has set over to the rows that the server reads; the others leave
/// those as they are. Error(usage) at a key that another row says as well.
void adopt_inference(const Fields& fields, const InferenceConfig& inference, ServingConfig& serving,
                     GenerationConfig& generation, TextModelPaths& paths,
                     std::string& draft_model_path);

}  // namespace llm
