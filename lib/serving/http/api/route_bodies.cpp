#include "serving/http/api/route_bodies.h"

#include <fmt/format.h>

#include "serving/http/api/generation_fields.h"

namespace llm::api {
namespace {

using http::any_field;
using http::array_field;
using http::Field;
using http::flag_field;
using http::text_field;
using http::whole_field;

constexpr int64_t kTextBytes = 10 << 20;

/// The fields of every route that generates, and its own. The best of several texts can be asked
/// for in /v1/completions, as in OpenAI's interface; elsewhere the field may say 1.
std::vector<Field> with_generation(int64_t context, const std::vector<Field>& own,
                                   int64_t most_best_of = 1) {
  std::vector<Field> fields = generation_fields(context);
  fields.push_back(whole_field("best_of", 1, most_best_of));
  fields.insert(fields.end(), own.begin(), own.end());
  return fields;
}

RouteBody writing_body(std::string_view path, int64_t context) {
  if (path == "/v1/completions")
    return {with_generation(context,
                            {any_field("prompt"), text_field("suffix", 1 << 20), flag_field("echo"),
                             http::with_code(whole_field("logprobs", 0, 5), "invalid_value"),
                             http::object_field("gen_config"), flag_field("mlperf_mode")},
                            kMostChoices),
            {"prompt"},
            {},
            false};
  if (path == "/v1/chat/completions")
    return {with_generation(
                context, {array_field("messages"), array_field("tools"), any_field("tool_choice"),
                          flag_field("parallel_tool_calls"), flag_field("logprobs"),
                          http::with_code(whole_field("top_logprobs", 0, 20), "invalid_value")}),
            {"messages"},
            {},
            false};
  if (path == "/generate")
    return {with_generation(context, {any_field("prompt"), any_field("inputs"),
                                      text_field("mode", 1024), text_field("adapter", 1024)}),
            {},
            {"prompt", "inputs"},
            true};
  if (path == "/predict")
    return {{text_field("text", 1 << 20), text_field("model", 1024), whole_field("top_k", 1, 20)},
            {"text"},
            {},
            true};
  return {};
}

RouteBody reading_body(std::string_view path) {
  const Field model = text_field("model", 1024);
  if (path == "/v1/embeddings")
    return {{model, any_field("input"), text_field("encoding_format", 16),
             whole_field("dimensions", 1, 1 << 20), text_field("user", 1024)},
            {"input"},
            {},
            false};
  if (path == "/embed")
    return {{model, any_field("input"), flag_field("normalize")}, {"input"}, {}, true};
  if (path == "/tokenize")
    return {{model, text_field("prompt", kTextBytes), text_field("content", kTextBytes),
             flag_field("add_special_tokens"), flag_field("add_special"), array_field("messages")},
            {},
            {"prompt", "content", "messages"},
            false};
  if (path == "/detokenize") return {{model, array_field("tokens")}, {"tokens"}, {}, false};
  if (path == "/apply-template")
    return {{array_field("messages"), array_field("tools"), flag_field("add_generation_prompt")},
            {"messages"},
            {},
            false};
  return {};
}

RouteBody adapter_body(std::string_view path) {
  const Field name = text_field("lora_name", 256);
  if (path == "/v1/load_lora_adapter")
    return {{name, text_field("lora_path", 4096), flag_field("load_inplace")},
            {"lora_name", "lora_path"},
            {},
            false};
  if (path == "/v1/unload_lora_adapter")
    return {{name, whole_field("lora_int_id", 0, 1 << 30)}, {"lora_name"}, {}, false};
  return {};
}

}  // namespace

RouteBody route_body(std::string_view path, int64_t context) {
  for (RouteBody body : {writing_body(path, context), reading_body(path), adapter_body(path)}) {
    if (!body.fields.empty()) return body;
  }
  return {};
}

void heed_unknown_fields(const ServedModel& model, std::string_view path,
                         const http::FieldReader& body) {
  const std::vector<std::string> unknown = body.unknown();
  if (unknown.empty()) return;
  if (route_body(path).closed)
    throw http::HttpError(400, "unknown_field",
                          fmt::format("'{}' is not a field of {}", unknown[0], path), unknown[0]);
  for (const std::string& name : unknown) model.observer().unknown_field(name);
}

}  // namespace llm::api
