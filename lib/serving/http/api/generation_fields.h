// The generation fields of a request body, as every route has them: names, ranges, what they
// become.
//
// OpenAI's names first, then those of vLLM and of /generate; ranges and messages of
// docs/serving.md. null counts as absent. Pure functions; refusals are HttpError 400 naming the
// field.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "serving/http/api/served_model.h"
#include "serving/http/json_body.h"

namespace llm::api {

/// The body once more with its members in their order, which schemas and templates need.
/// 400 invalid_json where a number is beyond what a double holds.
nlohmann::ordered_json ordered_body(const http::Request& request);

/// Rows for http::FieldReader; `context` bounds the numbers of tokens.
std::vector<http::Field> generation_fields(int64_t context);
inline constexpr int64_t kMostChoices = 16;  // texts of one prompt

struct GenerationFields {
  GenerationConfig config;
  int64_t n = 1, best_of = 1;  // choices of a prompt, and of how many they are the best
  bool stream = false, include_usage = false;
  bool max_tokens_given = false;

  /// One search with beams finds all n texts of a prompt, which come when it ends.
  bool beams() const { return config.num_beams > 1; }
  /// Requests to the engine for each prompt.
  int64_t searches() const { return beams() ? 1 : best_of; }
};

/// 400 where the body gives several of these names of one thing, and different values.
void one_of_names(const http::FieldReader& body, std::initializer_list<const char*> names);

/// The model's defaults, changed by what the body says.
GenerationFields read_generation(const http::FieldReader& body, const ServedModel& model);

/// freeze() with the model's limits and, where it draws and has no seed, the server's next one; its
/// refusals as 400.
FrozenGenerationConfig freeze_for(const ServedModel& model, GenerationConfig config);

/// What a request is answered by: the served model, or one of its adapters.
struct AskedModel {
  std::string name;
  ModelAdapterPtr adapter;
};
/// By its name; 404 naming `param` where there is none.
AskedModel find_model(const ServedModel& model, const std::string& name, const std::string& param);
/// By the body's "model"; the served one where that is absent.
AskedModel asked_model(const http::FieldReader& body, const ServedModel& model);

/// 400 context_length_exceeded where no answer fits behind the prompt, unless the server's context
/// policy makes room for it.
void check_prompt_length(const ServedModel& model, size_t tokens, bool answer,
                         const std::string& param);
/// The same for a text of which nothing may be left out.
void check_text_length(const ServedModel& model, size_t tokens, bool answer,
                       const std::string& param);

/// What response_format, grammar or guided_json ask for; null where nothing.
/// `ordered` is the body with its members' order kept, which schemas need.
std::shared_ptr<const Constraint> requested_constraint(const http::FieldReader& body,
                                                       const nlohmann::ordered_json& ordered,
                                                       const ServedModel& model);

}  // namespace llm::api
