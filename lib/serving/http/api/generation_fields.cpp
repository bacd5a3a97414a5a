#include "serving/http/api/generation_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "serving/constraint/gbnf.h"
#include "serving/constraint/json_schema.h"

namespace llm::api {
namespace {

using http::Field;
using http::HttpError;
using nlohmann::json;

constexpr const char* kBadSchema = "unsupported_schema";
constexpr size_t kMostStops = 4, kMostBiases = 1024;
constexpr int64_t kStopBytes = 1024, kGrammarBytes = 256 << 10;

std::vector<std::string> read_stops(const http::FieldReader& body) {
  std::vector<std::string> stops;
  const json* stop = body.find("stop");
  if (stop == nullptr) return stops;
  if (stop->is_string()) {
    stops.push_back(http::text_value(*stop, kStopBytes, "stop"));
  } else if (stop->is_array()) {
    if (stop->size() > kMostStops) body.refuse("stop", "stop: at most 4 stop strings");
    for (size_t i = 0; i < stop->size(); ++i)
      stops.push_back(http::text_value((*stop)[i], kStopBytes, fmt::format("stop[{}]", i)));
  } else {
    body.refuse("stop", "stop must be a text or a list of texts");
  }
  for (const std::string& one : stops) {
    if (one.empty()) body.refuse("stop", "stop strings must not be empty");
  }
  return stops;
}

std::vector<std::pair<int32_t, double>> read_biases(const http::FieldReader& body,
                                                    const ServedModel& model) {
  std::vector<std::pair<int32_t, double>> biases;
  const json* map = body.find("logit_bias");
  if (map == nullptr) return biases;
  if (map->size() > kMostBiases) body.refuse("logit_bias", "logit_bias: at most 1024 ids");
  for (const auto& [key, value] : map->items()) {
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    const bool whole = error == std::errc() && end == key.data() + key.size();
    if (!whole || key != std::to_string(id) || id < 0 || id >= model.model().vocab_size())
      body.refuse("logit_bias", fmt::format("logit_bias id {} is out of range", key));
    biases.emplace_back(static_cast<int32_t>(id),
                        http::number_value(value, -100, 100, "logit_bias." + key));
  }
  return biases;
}

std::shared_ptr<const Grammar> schema_of(const nlohmann::ordered_json& schema,
                                         const std::string& param) {
  try {
    return schema_grammar(schema);
  } catch (const Error& error) {
    throw HttpError(400, kBadSchema, error.message(), param);
  }
}

std::shared_ptr<const Grammar> format_grammar(const http::FieldReader& body, const json& format,
                                              const nlohmann::ordered_json& ordered) {
  static const std::vector<Field> kFields = {http::text_field("type", 32),
                                             http::object_field("json_schema")};
  const http::FieldReader reader(format, kFields, "response_format");
  const std::string type = reader.text("type", "");
  if (type == "text") return nullptr;
  if (type == "json_object") return json_object_grammar();
  if (type != "json_schema")
    body.refuse("response_format", "response_format.type must be text, json_object or json_schema");
  const json& given = reader.require("json_schema");
  if (!given.contains("schema") || !given["schema"].is_object())
    http::missing_field("response_format.json_schema.schema");
  return schema_of(ordered["response_format"]["json_schema"]["schema"], "response_format");
}

}  // namespace

nlohmann::ordered_json ordered_body(const http::Request& request) {
  try {
    return nlohmann::ordered_json::parse(request.body);
  } catch (const nlohmann::json::exception&) {  // all else was refused when it was read first
    throw HttpError(400, "invalid_json", "a number in the body is beyond what a double holds");
  }
}

std::vector<Field> generation_fields(int64_t context) {
  const int64_t most = context > 0 ? context : int64_t{1} << 30;
  std::vector<Field> fields = {http::text_field("model", 1024),
                               http::whole_field("max_tokens", 0, most),
                               http::whole_field("max_completion_tokens", 0, most),
                               http::whole_field("max_new_tokens", 0, most),
                               http::whole_field("max_length", 0, most),
                               http::whole_field("min_tokens", 0, most),
                               http::whole_field("min_new_tokens", 0, most),
                               http::number_field("temperature", 0, 2),
                               http::number_field("top_p", 0, 1),
                               http::number_field("min_p", 0, 1),
                               http::whole_field("top_k", -1, 1 << 30),
                               http::number_field("repetition_penalty", 0.01, 10),
                               http::number_field("frequency_penalty", -2, 2),
                               http::number_field("presence_penalty", -2, 2),
                               http::number_field("length_penalty", -10, 10),
                               http::whole_field("seed", -1, (int64_t{1} << 53) - 1),
                               http::whole_field("n", 1, kMostChoices),
                               http::whole_field("num_beams", 1, kMostChoices),
                               http::whole_field("num_speculative_tokens", 0, 64),
                               http::whole_field("num_speculated_tokens", 0, 64),
                               http::flag_field("do_sample"),
                               http::flag_field("ignore_eos"),
                               http::flag_field("early_stopping"),
                               http::flag_field("stream"),
                               http::object_field("stream_options"),
                               http::object_field("logit_bias"),
                               http::with_code(http::object_field("response_format"), kBadSchema),
                               http::text_field("grammar", kGrammarBytes),
                               http::object_field("guided_json"),
                               http::text_field("user", 1024)};
  fields.push_back(http::any_field("stop"));
  return fields;
}

void one_of_names(const http::FieldReader& body, std::initializer_list<const char*> names) {
  const char* given = nullptr;
  for (const char* name : names) {
    if (!body.has(name)) continue;
    if (given != nullptr && *body.find(given) != *body.find(name))
      body.refuse(name, fmt::format("{} is another name of {}; give one of them", name, given));
    given = name;
  }
}

GenerationFields read_generation(const http::FieldReader& body, const ServedModel& model) {
  GenerationFields read;
  GenerationConfig& config = read.config;
  config = model.options().defaults;
  one_of_names(body, {"max_tokens", "max_new_tokens", "max_length"});
  one_of_names(body, {"max_completion_tokens", "max_new_tokens", "max_length"});
  one_of_names(body, {"min_tokens", "min_new_tokens"});
  one_of_names(body, {"num_speculative_tokens", "num_speculated_tokens"});
  // OpenAI's two names may stand beside each other: clients send the old one for old servers.
  for (const char* name : {"max_length", "max_new_tokens", "max_tokens", "max_completion_tokens"}) {
    if (!body.has(name)) continue;
    config.max_new_tokens = *body.whole(name);
    read.max_tokens_given = true;
  }
  for (const char* name : {"min_tokens", "min_new_tokens"})
    config.min_new_tokens = body.whole(name, config.min_new_tokens);
  config.temperature = body.number("temperature", config.temperature);
  config.top_p = body.number("top_p", config.top_p);
  config.min_p = body.number("min_p", config.min_p);
  config.top_k = std::max<int64_t>(0, body.whole("top_k", config.top_k));  // -1: off, as at vLLM
  config.repetition_penalty = body.number("repetition_penalty", config.repetition_penalty);
  config.frequency_penalty = body.number("frequency_penalty", config.frequency_penalty);
  config.presence_penalty = body.number("presence_penalty", config.presence_penalty);
  config.length_penalty = body.number("length_penalty", config.length_penalty);
  config.early_stopping = body.flag("early_stopping", config.early_stopping);
  config.seed = body.whole("seed", -1);
  config.num_beams = body.whole("num_beams", config.num_beams);
  for (const char* name : {"num_speculated_tokens", "num_speculative_tokens"})
    config.num_speculative_tokens = body.whole(name, config.num_speculative_tokens);
  config.do_sample = body.flag("do_sample", config.do_sample);
  config.ignore_eos = body.flag("ignore_eos", config.ignore_eos);
  if (body.has("stop")) config.stop_strings = read_stops(body);
  config.logit_bias = read_biases(body, model);
  read.n = body.whole("n", 1);
  read.best_of = body.whole("best_of", read.n);
  if (read.best_of < read.n) body.refuse("best_of", "best_of must be at least n");
  if (config.num_beams > 1) {
    if (read.best_of > read.n) body.refuse("best_of", "best_of has no meaning with num_beams");
    if (config.num_beams < read.n) body.refuse("n", "n must not exceed num_beams");
    config.num_return_sequences = read.n;
  }
  read.stream = body.flag("stream", false);
  if (read.stream && read.best_of > read.n)
    body.refuse("best_of", "best_of must equal n where the answer is streamed");
  if (const json* options = body.find("stream_options")) {
    static const std::vector<Field> kOptions = {http::flag_field("include_usage")};
    read.include_usage =
        http::FieldReader(*options, kOptions, "stream_options").flag("include_usage", false);
  }
  return read;
}

FrozenGenerationConfig freeze_for(const ServedModel& model, GenerationConfig config) {
  const bool draws = config.do_sample && config.temperature >= kGreedyBelow;
  if (config.seed < 0 && draws) config.seed = model.next_seed();
  try {
    return freeze(std::move(config), {.vocab_size = model.model().vocab_size(),
                                      .context_length = model.max_model_len(),
                                      .tokens = model.tokenizer().vocab_size()});
  } catch (const Error& error) {
    throw HttpError(400, "invalid_value", error.message());
  }
}

AskedModel find_model(const ServedModel& model, const std::string& name, const std::string& param) {
  if (name == model.name()) return {name, nullptr};
  if (const ServedAdapterPtr found = model.adapters().find(name)) return {name, found->adapter};
  throw HttpError(
      404, "model_not_found",
      fmt::format("model '{}' is not served; available: {}", name, model.adapters().names()),
      param);
}

AskedModel asked_model(const http::FieldReader& body, const ServedModel& model) {
  return find_model(model, body.text("model", model.default_name()), "model");
}

void check_prompt_length(const ServedModel& model, size_t tokens, bool answer,
                         const std::string& param) {
  if (!model.cuts_prompts()) check_text_length(model, tokens, answer, param);
}

void check_text_length(const ServedModel& model, size_t tokens, bool answer,
                       const std::string& param) {
  const auto most = static_cast<size_t>(model.max_model_len());
  if (most == 0 || tokens + (answer ? 1 : 0) <= most) return;
  throw HttpError(400, "context_length_exceeded",
                  fmt::format("prompt is {} tokens; this model allows {}{}", tokens, most,
                              answer && tokens == most ? " with the answer" : ""),
                  param);
}

std::shared_ptr<const Constraint> requested_constraint(const http::FieldReader& body,
                                                       const nlohmann::ordered_json& ordered,
                                                       const ServedModel& model) {
  std::shared_ptr<const Grammar> grammar;
  int given = 0;
  if (const json* format = body.find("response_format")) {
    try {
      grammar = format_grammar(body, *format, ordered);
    } catch (const HttpError& error) {
      throw HttpError(400, kBadSchema, error.message(), error.param());
    }
    given += grammar != nullptr ? 1 : 0;
  }
  if (body.has("guided_json")) {
    grammar = schema_of(ordered["guided_json"], "guided_json");
    ++given;
  }
  if (const auto text = body.text("grammar")) {
    try {
      grammar = parse_gbnf(*text);
    } catch (const Error& error) {
      body.refuse("grammar", error.message());
    }
    ++given;
  }
  if (given > 1)
    body.refuse("response_format",
                "response_format, grammar and guided_json: give one of them only");
  return grammar ? model.constraint(grammar) : nullptr;
}

}  // namespace llm::api
