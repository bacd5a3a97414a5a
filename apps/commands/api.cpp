// llm api: an HTTP server that OpenAI's clients, curl and a browser know how to talk to.
#include <algorithm>
#include <chrono>
#include <thread>

#include "apps/api_inference.h"
#include "apps/commands.h"
#include "apps/key_rules.h"
#include "apps/serving_config.h"
#include "apps/text_model.h"
#include "base/error.h"
#include "base/log.h"
#include "base/number_text.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/utf8.h"
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
  std::vector<std::string> api_key;
  ServingConfig serving;
  InferenceConfig inference;

  void fields(Fields& f);
  static const std::vector<KeyRule<ApiConfig>>& rules();
};

/// Other settings are defaults of requests, which may give them an effect.
const std::vector<KeyRule<ApiConfig>>& ApiConfig::rules() {
  const auto always = [](const ApiConfig&) { return true; };
  static const std::vector<KeyRule<ApiConfig>> all = {
      {{"generation.num_return_sequences"},
       {},
       always,
       "in a server",
       "requests say how many texts they want (n)"},
      {{"generation.return_probs", "generation.return_logprobs", "generation.return_input_logprobs",
        "generation.top_logprobs", "generation.return_text"},
       {},
       always,
       "in a server",
       "requests say what their answers report (logprobs)"},
  };
  return all;
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
  f("api_key", api_key, "Key that callers must give, as KEY or KEY:generate,embed,admin",
    non_empty())
      .flag("api-key")
      .verbatim()  // commas separate the scopes of a key, not keys
      .secret();
  f.section("serving", serving, "Listener and engine");
  f.section("inference", inference, "The engine, as C++ programs configure it");
  f.section("", runtime);
  f.section("generation", generation, "Defaults of requests that do not say otherwise");
  show_generation_rows(f);
  for (const KeyRule<ApiConfig>& rule : rules()) f.hide(rule.keys);
  f.cross_check("adapter", [this, &f, defaults = texts_of(f)] {
    refuse_idle_keys(f, rules(), *this, defaults);
    return std::string();
  });
}

EngineOptions engine_options(const ServingConfig& config, const ServingMemory& memory,
                             const DraftModel& draft) {
  EngineOptions options;
  options.max_batch_size = memory.max_batch_size;
  options.kv = memory.kv;
  options.prefix_cache = config.prefix_caching;
  options.prefill_chunk = config.prefill_chunk;
  options.continuous_batching = config.continuous_batching;
  options.make_drafter = draft.make;
  return options;
}

/// "name" of "some/where/name/".
std::string last_name(std::filesystem::path path) {
  if (path.filename().empty()) path = path.parent_path();
  return path.filename().string();
}

/// --adapter NAME=DIR as name and directory.
std::pair<std::string, std::string> named_adapter(const std::string& given) {
  const size_t equals = given.find('=');
  check(equals != std::string::npos && equals > 0 && equals + 1 < given.size(),
        "--adapter '{}': NAME=DIR is expected", given);
  return {given.substr(0, equals), given.substr(equals + 1)};
}

/// What can be said before the model is read, which may take minutes.
void check_early(const ApiConfig& config) {
  http::refuse_public_bind(config.serving.host, !config.api_key.empty(), config.serving.insecure);
  const http::CorsPolicy cors(config.serving.cors_origin);
  const http::ApiKeys keys(config.api_key);
  for (const std::string& given : config.adapter) named_adapter(given);
  check(config.served_model_name.empty() || utf8::is_printable(config.served_model_name),
        "--served-model-name must be printable characters");
}

/// --adapter NAME=DIR, and the one that --model-path is.
void load_adapters(api::ServedModel& model, const ApiConfig& config, const TextModel& text) {
  if (text.adapter) model.adapters().add(last_name(text.adapter_directory), text.adapter);
  for (const std::string& given : config.adapter) {
    const auto [name, directory] = named_adapter(given);
    model.adapters().load(name, directory);
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
  options.seed = config.runtime.seed;
  if (options.seed < 0) {
    options.seed = static_cast<int64_t>(fresh_seed());
    log_info("seed {}", options.seed);
  }
  options.queue_size = config.serving.queue_size;
  options.request_timeout =
      std::chrono::milliseconds(static_cast<int64_t>(config.serving.request_timeout * 1000));
  options.parameters = text.loaded.parameters;
  options.dtype = text.loaded.dtype;
  options.quantization = text.loaded.quantization;
  options.device = text.loaded.device;
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
  options.host = config.serving.host;
  options.port = static_cast<int>(config.serving.port);
  options.io_threads = static_cast<int>(config.serving.io_threads);
  options.keys = config.api_key;
  options.insecure = config.serving.insecure;
  options.cors_origins = config.serving.cors_origin;
  options.requests_per_second = config.serving.rate_limit;
  options.response_cache_entries = static_cast<size_t>(config.serving.response_cache);
  options.limits.body_bytes = static_cast<size_t>(config.serving.max_body_bytes);
  options.limits.connections = static_cast<int>(config.serving.max_connections);
  options.stall_timeout =
      std::chrono::milliseconds(static_cast<int64_t>(config.serving.stall_timeout * 1000));
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
  check_early(config);
  adopt_inference(fields, config.inference, config.serving, config.generation, config.paths,
                  config.draft_model_path);
  const StopSignal stop;
  const TextModel text = open_text_model(config.paths, config.runtime);
  const DraftModel draft = open_draft(config.draft_model_path, text, config.runtime,
                                      config.inference.num_parallel_tokens);
  const int64_t most = text.loaded.config.max_position_embeddings;
  check(config.serving.max_model_len <= most || most == 0,
        "--max-model-len: {} is more than the model's context of {}", config.serving.max_model_len,
        most);
  const int64_t context = config.serving.max_model_len > 0 ? config.serving.max_model_len : most;
  const ServingMemory memory = plan_serving_memory(config.serving, fields, text.loaded, context);
  log_info("{}", memory.text);
  api::ServedModel model(*text.loaded.model, *text.tokenizer,
                         model_options(config, text, context, fields),
                         engine_options(config.serving, memory, draft));
  load_adapters(model, config, text);
  api::ApiServer server(model, server_options(config));
  log_info("serving '{}' at {} (page: /, description: /openapi.json)", model.name(), server.url());
  return serve(server, stop, config.serving.drain_timeout);
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
