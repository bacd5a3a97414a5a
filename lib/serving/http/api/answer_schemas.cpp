#include "serving/http/api/answer_schemas.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace llm::api {
namespace {

using Json = nlohmann::ordered_json;

// An answer is written down as itself with types for values: "integer|null"; [x] is a list of x;
// {"*": x} has any names; {"null": x} is x or null; {"any": [x, y]} is one of them; a name with "?"
// may be missing.
constexpr std::array<std::pair<std::string_view, const char*>, 15> kWriting = {{
    {"/v1/completions", R"({"any": [{"id": "string", "object": "string", "created": "integer",
        "model": "string",
        "choices": [{"index": "integer", "text": "string",
          "logprobs": {"null": {"tokens": ["string"], "token_logprobs": ["number|null"],
            "top_logprobs": [{"null": {"*": "number"}}], "text_offset": ["integer"]}},
          "finish_reason": "string"}],
        "usage": {"prompt_tokens": "integer", "completion_tokens": "integer",
          "total_tokens": "integer", "prompt_tokens_details": {"cached_tokens": "integer"}},
        "timings": {"prompt_n": "integer", "prompt_per_second": "number",
          "predicted_n": "integer", "predicted_per_second": "number", "cache_n": "integer"}},
        {"request_id": "string", "model": "string", "choices": [{"index?": "integer",
          "message": {"role": "string", "content": "string|array"},
          "finish_reason": "string"}]}]})"},
    {"/v1/chat/completions", R"({"id": "string", "object": "string", "created": "integer",
        "model": "string",
        "choices": [{"index": "integer",
          "message": {"role": "string", "content": "string|null", "refusal": "null",
            "tool_calls?": [{"id": "string", "type": "string",
              "function": {"name": "string", "arguments": "string"}}]},
          "logprobs": {"null": {"content": [{"token": "string", "logprob": "number",
              "bytes": ["integer"],
              "top_logprobs": [{"token": "string", "logprob": "number", "bytes": ["integer"]}]}],
            "refusal": "null"}},
          "finish_reason": "string"}],
        "usage": {"prompt_tokens": "integer", "completion_tokens": "integer",
          "total_tokens": "integer", "prompt_tokens_details": {"cached_tokens": "integer"}},
        "timings": {"prompt_n": "integer", "prompt_per_second": "number",
          "predicted_n": "integer", "predicted_per_second": "number", "cache_n": "integer"}})"},
    {"/generate", R"({"id": "string", "model": "string", "generated_text": "string",
        "choices": [{"index": "integer", "text": "string", "finish_reason": "string"}],
        "usage": {"prompt_tokens": "integer", "completion_tokens": "integer"},
        "timing": {"ttft_ms": "number", "tpot_ms": "number|null", "total_ms": "number",
          "tokens_per_second": "number"},
        "processing_time": "number"})"},
    {"/predict", R"({"text": "string",
        "predictions": [{"rank": "integer", "token_id": "integer", "token": "string",
          "probability": "number"}],
        "model": "string", "inference_time": "number"})"},
    {"/v1/embeddings", R"({"object": "string",
        "data": [{"object": "string", "index": "integer", "embedding": "string|array"}],
        "model": "string", "usage": {"prompt_tokens": "integer", "total_tokens": "integer"}})"},
    {"/embed", R"({"embeddings": [["number"]], "dim": "integer"})"},
    {"/tokenize", R"({"tokens": ["integer"], "count": "integer", "max_model_len": "integer"})"},
    {"/detokenize", R"({"prompt": "string", "content": "string"})"},
    {"/apply-template", R"({"prompt": "string"})"},
    {"/v1/load_lora_adapter", R"({"status": "string", "message": "string"})"},
    {"/v1/unload_lora_adapter", R"({"status": "string", "message": "string"})"},
    {"/v1/models", R"({"object": "string",
        "data": [{"id": "string", "object": "string", "created": "integer",
          "owned_by": "string", "max_model_len": "integer",
          "meta": {"n_vocab": "integer", "n_ctx_train": "integer", "n_params": "integer",
            "dtype": "string", "quantization": "string"},
          "parent?": "string"}]})"},
    {"/v1/models/{model}", R"({"id": "string", "object": "string", "created": "integer",
        "owned_by": "string", "max_model_len": "integer",
        "meta": {"n_vocab": "integer", "n_ctx_train": "integer", "n_params": "integer",
          "dtype": "string", "quantization": "string"},
        "parent?": "string"})"},
    {"/model-info", R"({"name": "string", "total_parameters": "integer", "dtype": "string",
        "quantization": "string", "vocab_size": "integer", "context_length": "integer", "max_model_len": "integer",
        "tokenizer_sha256": "string"})"},
    {"/tokenizer_info", R"({"eos_token": "string|null", "bos_token": "string|null",
        "pad_token": "string|null", "vocab_size": "integer", "sha256": "string",
        "chat_template": "string|null"})"},
}};

constexpr std::array<std::pair<std::string_view, const char*>, 10> kTelling = {{
    {"/props", R"({"default_generation_settings": {"n_ctx": "integer", "params": {
          "n_predict": "integer", "temperature": "number", "top_k": "integer", "top_p": "number",
          "min_p": "number", "repeat_penalty": "number"}},
        "total_slots": "integer", "model_path": "string", "chat_template": "string"})"},
    {"/health", R"({"status": "string", "model_loaded": "boolean", "device": "string",
        "stalled_seconds?": "number"})"},
    {"/v1/health", R"({"status": "string", "service": "string", "scheduler_running": "boolean",
        "queue_size": "integer", "active_requests": "integer",
        "server_metrics_enabled": "boolean", "stalled_seconds?": "number"})"},
    {"/version", R"({"version": "string"})"},
    {"/stats", R"({"requests_processed": "integer", "total_processing_time": "number",
        "avg_processing_time": "number", "active_requests": "integer",
        "waiting_requests": "integer", "prompt_tokens": "integer", "generated_tokens": "integer",
        "kv_blocks": "integer", "kv_blocks_used": "integer", "kv_blocks_cached": "integer",
        "preemptions": "integer", "prefix_hit_tokens": "integer", "response_cache_hits": "integer",
        "uptime_seconds": "number"})"},
    {"/v1/server_metrics", R"({"sched_session_ttft": "number", "sched_session_tpot": "number",
        "sched_active_ttft_time": "number", "sched_requests_served_per_second": "number",
        "sched_total_generated_tokens": "integer"})"},
    {"/slots", R"([{"id": "integer", "n_ctx": "integer", "is_processing": "boolean"}])"},
    {"/v1/queue/status", R"({"running": "integer", "waiting": "integer", "queue_size": "integer",
        "max_batch_size": "integer"})"},
    {"/v1/status/{id}", R"({"request_id": "string", "status": "string", "message": "string",
        "created_at": "integer"})"},
    {"/", R"({"name": "string", "version": "string", "docs": "string", "health": "string"})"},
}};

Json schema_of_types(const std::string& types) {
  Json all = Json::array();
  for (size_t at = 0; at <= types.size();) {
    const size_t end = std::min(types.find('|', at), types.size());
    all.push_back(types.substr(at, end - at));
    at = end + 1;
  }
  return {{"type", all.size() == 1 ? all[0] : all}};
}

Json schema_of_shape(const Json& shape) {
  if (shape.is_string()) return schema_of_types(shape.get<std::string>());
  if (shape.is_array()) return {{"type", "array"}, {"items", schema_of_shape(shape[0])}};
  if (shape.contains("null"))
    return {{"anyOf", Json::array({schema_of_shape(shape["null"]), {{"type", "null"}}})}};
  if (shape.contains("any")) {
    Json ways = Json::array();
    for (const Json& way : shape["any"]) ways.push_back(schema_of_shape(way));
    return {{"anyOf", std::move(ways)}};
  }
  if (shape.contains("*"))
    return {{"type", "object"}, {"additionalProperties", schema_of_shape(shape["*"])}};
  Json properties = Json::object(), required = Json::array();
  for (const auto& [name, value] : shape.items()) {
    const bool may_miss = name.ends_with('?');
    const std::string bare = may_miss ? name.substr(0, name.size() - 1) : name;
    properties[bare] = schema_of_shape(value);
    if (!may_miss) required.push_back(bare);
  }
  return {{"type", "object"}, {"required", required}, {"properties", properties}};
}

}  // namespace

nlohmann::ordered_json answer_schema(std::string_view path) {
  const auto in = [&](const auto& shapes) -> Json {
    for (const auto& [route, shape] : shapes) {
      if (route == path) return schema_of_shape(Json::parse(shape));
    }
    return nullptr;
  };
  Json schema = in(kWriting);
  return schema.is_null() ? in(kTelling) : schema;
}

}  // namespace llm::api
