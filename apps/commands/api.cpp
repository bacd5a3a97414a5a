// llm api: an HTTP server that OpenAI's clients, curl and a browser know how to talk to.
#include <algorithm>
#include <chrono>
#include <thread>

#include "apps/commands.h"
#include "apps/text_model.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number_text.h"
#include "base/signals.h"
#include "base/system_memory.h"
#include "model/lora_adapter.h"
#include "serving/http/api/api_server.h"
#include "serving/http/api_keys.h"
#include "serving/http/cors.h"

namespace llm {
namespace {

struct ApiConfig {
  RuntimeConfig runtime;
  GenerationConfig generation;
  TextModelPaths paths;
  std::string draft_model_path, served_model_name;
  std::vector<std::string> adapter;
  std::string adapter_folder;
  std::string host = "127.0.0.1";
  int64_t port = 8000;
  std::vector<std::string> api_key, cors_origin;
  bool insecure = false;
  int64_t max_batch_size = 64;
  int64_t kv_cache_memory = 0;
  std::string kv_cache_layout = "paged", kv_cache_dtype = "auto";
  int64_t max_model_len = 0;
  bool prefix_caching = true;
  int64_t prefill_chunk = 0;
  int64_t queue_size = 64;
  double rate_limit = 0;
  double request_timeout = 0;
  int64_t response_cache = 256;
  int64_t io_threads = 1;
  int64_t max_body_bytes = 10 << 20;
  int64_t max_connections = 1024;
  double drain_timeout = 30;

  void fields(Fields& f);
  void server_fields(Fields& f);
  void engine_fields(Fields& f);
};

void ApiConfig::server_fields(Fields& f) {
  f("host", host, "Address to listen on", non_empty()).flag("host");
  f("port", port, "Port; 0 takes a free one", in_range(0, 65535)).flag("port");
  f("api_key", api_key, "Key that callers must give, as KEY or KEY:generate,embed,admin",
    non_empty())
      .flag("api-key")
      .verbatim()  // commas separate the scopes of a key, not keys
      .secret();
  f("insecure", insecure, "Listen on other addresses than this machine's without a key")
      .flag("insecure");
  f("cors_origin", cors_origin,
    "Origin of web pages that may read answers: https://example.org, http://localhost:3000, or *",
    non_empty())
      .flag("cors-origin");
  f("queue_size", queue_size, "Requests that may wait; beyond it 429", in_range(0, 100'000))
      .flag("queue-size");
  f("rate_limit", rate_limit, "Requests a second per key or address; 0 is no limit",
    in_range(0, 1e6))
      .flag("rate-limit");
  f("request_timeout", request_timeout, "Seconds for one answer; 0 is no limit", in_range(0, 1e6))
      .flag("request-timeout");
  f("response_cache", response_cache, "Deterministic answers kept for the same request again",
    in_range(0, 1'000'000))
      .flag("response-cache");
  f("io_threads", io_threads, "Threads for sockets", in_range(1, 64)).flag("io-threads");
  f("max_body_bytes", max_body_bytes, "Largest request body", in_range(1024, int64_t{1} << 31))
      .flag("max-body-bytes");
  f("max_connections", max_connections, "Connections at once; beyond it 503",
    in_range(1, 1'000'000))
      .flag("max-connections");
  f("drain_timeout", drain_timeout, "Seconds that answers may still take after SIGTERM",
    in_range(0, 86'400))
      .flag("drain-timeout");
}

void ApiConfig::engine_fields(Fields& f) {
  f("max_batch_size", max_batch_size, "Requests computed together", in_range(1, 4096))
      .flag("max-batch-size");
  f("kv_cache_memory", kv_cache_memory, "Bytes for keys and values; 0 takes a quarter of memory",
    at_least(0))
      .flag("kv-cache-memory");
  f("kv_cache_layout", kv_cache_layout, "How that memory is shared out",
    one_of({"paged", "slab", "bmc"}))
      .flag("kv-cache-layout");
  f("kv_cache_dtype", kv_cache_dtype, "auto is the model's format; int8 takes half",
    one_of({"auto", "int8"}))
      .flag("kv-cache-dtype");
  f("max_model_len", max_model_len, "Tokens of prompt and answer; 0 is the model's context",
    at_least(0))
      .flag("max-model-len");
  f("prefix_caching", prefix_caching, "Compute a common beginning of prompts once")
      .flag("prefix-caching");
  f("prefill_chunk", prefill_chunk,
    "Prompt tokens read beside running texts in one pass; 0 goes by measurement", in_range(0, 4096))
      .flag("prefill-chunk");
}

void ApiConfig::fields(Fields& f) {
  declare_model_rows(f, paths, false);
  f("adapter", adapter, "LoRA adapter that requests choose by this name as their model",
    non_empty())
      .flag("adapter")
      .flag_only()
      .verbatim()
      .value_name("NAME=DIR");
  f("adapter_folder", adapter_folder,
    "Folder that POST /v1/load_lora_adapter may load adapters from; off without it")
      .flag("adapter-folder")
      .flag_only()
      .value_name("DIR");
  f("served_model_name", served_model_name, "What requests call the model; its directory's name")
      .flag("served-model-name")
      .flag_only()
      .value_name("NAME");
  f("draft_model_path", draft_model_path,
    "Smaller model that guesses ahead for requests with num_speculative_tokens")
      .flag("draft-model-path")
      .flag_only()
      .value_name("DIR");
  server_fields(f);
  engine_fields(f);
  f.section("", runtime);
  f.section("generation", generation, "Defaults of requests that do not say otherwise");
  accept_run_configs(f);
}

int64_t blocks_for(const ApiConfig& config, const TokenModel& model, int64_t context) {
  const int64_t per_block =
      model.kv_bytes_per_token(config.kv_cache_dtype == "int8") * kKvBlockTokens;
  if (per_block == 0) return 1;
  const int64_t memory =
      config.kv_cache_memory > 0 ? config.kv_cache_memory : total_memory_bytes() / 4;
  const int64_t useful = config.max_batch_size * (context / kKvBlockTokens + 2) * 2;
  const int64_t blocks = std::min(memory / per_block, context > 0 ? useful : memory / per_block);
  check(blocks >= 1, "--kv-cache-memory: {} bytes hold no block of {} tokens ({} bytes)", memory,
        kKvBlockTokens, per_block);
  return blocks;
}

EngineOptions engine_options(const ApiConfig& config, const TextModel& text, int64_t context,
                             const DraftModel& draft) {
  EngineOptions options;
  options.max_batch_size = config.max_batch_size;
  options.kv.layout = config.kv_cache_layout;
  options.kv.int8 = config.kv_cache_dtype == "int8";
  options.kv.slab_tokens = context;
  options.kv.max_blocks = blocks_for(config, *text.loaded.model, context);
  options.prefix_cache = config.prefix_caching;
  options.prefill_chunk = config.prefill_chunk;
  options.make_drafter = draft.make;
  return options;
}

/// "name" of "some/where/name/".
std::string last_name(std::filesystem::path path) {
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

/// --adapter NAME=DIR, and the one that --model-path is.
void load_adapters(api::ServedModel& model, const ApiConfig& config, const TextModel& text) {
  if (text.adapter) model.adapters().add(last_name(text.adapter_directory), text.adapter);
  for (const std::string& given : config.adapter) {
    const size_t equals = given.find('=');
    check(equals != std::string::npos && equals > 0 && equals + 1 < given.size(),
          "--adapter '{}': NAME=DIR is expected", given);
    model.adapters().load(given.substr(0, equals), given.substr(equals + 1));
  }
}

api::ServedModelOptions model_options(const ApiConfig& config, const TextModel& text,
                                      int64_t context, const Fields& fields) {
  api::ServedModelOptions options;
  options.name = config.served_model_name;
  if (options.name.empty())
    options.name = last_name(text.adapter ? text.loaded.directory.string() : config.paths.model);
  options.directory = text.loaded.directory;
  options.defaults = with_model_defaults(config.generation, text, fields);
  options.max_model_len = context;
  options.queue_size = config.queue_size;
  options.parameters = text.loaded.parameters;
  options.dtype = text.loaded.dtype;
  options.open_adapter = [&text](const std::filesystem::path& directory) {
    return text.loaded.model->adapt(load_lora_adapter(directory, text.loaded.config));
  };
  options.adapter_folder = config.adapter_folder;
  if (text.adapter) options.default_model = last_name(text.adapter_directory);
  freeze(options.defaults, limits_of(text));  // says now what no request could mend
  return options;
}

api::ApiServerOptions server_options(const ApiConfig& config) {
  api::ApiServerOptions options;
  options.host = config.host;
  options.port = static_cast<int>(config.port);
  options.io_threads = static_cast<int>(config.io_threads);
  options.keys = config.api_key;
  options.insecure = config.insecure;
  options.cors_origins = config.cors_origin;
  options.requests_per_second = config.rate_limit;
  options.response_cache_entries = static_cast<size_t>(config.response_cache);
  options.limits.body_bytes = static_cast<size_t>(config.max_body_bytes);
  options.limits.connections = static_cast<int>(config.max_connections);
  options.answers.timeout =
      std::chrono::milliseconds(static_cast<int64_t>(config.request_timeout * 1000));
  return options;
}

/// Until a signal asks to stop; then running answers may end.
int serve(api::ApiServer& server, const StopSignal& stop, double drain_seconds) {
  while (!stop.requested()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  log_info("{}: no new requests; answers may take {} s more", stop.name(), drain_seconds);
  const bool ended =
      server.drain(std::chrono::milliseconds(static_cast<int64_t>(drain_seconds * 1000)));
  if (!ended) log_warn("some answers were cut off");
  server.stop();
  return 0;
}

int run(ApiConfig& config, const Fields& fields) {
  http::refuse_public_bind(config.host, !config.api_key.empty(), config.insecure);
  const http::CorsPolicy checked_before_the_model_is_read(config.cors_origin);
  const StopSignal stop;
  const TextModel text = open_text_model(config.paths, config.runtime);
  const DraftModel draft = open_draft(config.draft_model_path, text, config.runtime);
  const int64_t most = text.loaded.config.max_position_embeddings;
  check(config.max_model_len <= most || most == 0,
        "--max-model-len: {} is more than the model's context of {}", config.max_model_len, most);
  const int64_t context = config.max_model_len > 0 ? config.max_model_len : most;
  const EngineOptions options = engine_options(config, text, context, draft);
  log_info("KV cache: {} tokens, {} MiB, {}{}", options.kv.max_blocks * kKvBlockTokens,
           options.kv.max_blocks * kKvBlockTokens *
               text.loaded.model->kv_bytes_per_token(options.kv.int8) / (1 << 20),
           options.kv.layout, options.kv.int8 ? ", int8" : "");
  api::ServedModel model(*text.loaded.model, *text.tokenizer,
                         model_options(config, text, context, fields), options);
  load_adapters(model, config, text);
  api::ApiServer server(model, server_options(config));
  log_info("serving '{}' at {} (page: /, description: /openapi.json)", model.name(), server.url());
  return serve(server, stop, config.drain_timeout);
}

}  // namespace

Command api_command() {
  return make_command<ApiConfig>(
      {.name = "api",
       .aliases = {"serve"},
       .summary = "Serve a model over HTTP to OpenAI clients, curl and the browser",
       .details = "Answers /v1/completions, /v1/chat/completions and more (docs/serving.md) until "
                  "SIGINT or SIGTERM, then lets running answers end.\n\n"
                  "  llm api checkpoints --port 8000\n"
                  "  curl http://127.0.0.1:8000/v1/completions -H 'Content-Type: application/json' "
                  "-d '{\"prompt\": \"Once\", \"max_tokens\": 16}'\n",
       .positional = "model_path"},
      run);
}

}  // namespace llm
