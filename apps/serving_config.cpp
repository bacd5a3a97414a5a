#include "apps/serving_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/system_memory.h"
#include "model/kernels/codes.h"
#include "model/model_size.h"

namespace llm {
namespace {

std::string memory_text(int64_t bytes) {
  return bytes >> 20 > 0 ? fmt::format("{} MiB", bytes >> 20) : fmt::format("{} KiB", bytes >> 10);
}

int64_t memory_given(const ServingConfig& config, int64_t bytes_per_token) {
  if (config.kv_cache_tokens > 0) return config.kv_cache_tokens * bytes_per_token;
  return config.kv_cache_memory > 0 ? config.kv_cache_memory : usable_memory_bytes() / 4;
}

int64_t blocks_for(const ServingConfig& config, int64_t bytes_per_token, int64_t context) {
  const int64_t per_block = bytes_per_token * kKvBlockTokens;
  const int64_t memory = memory_given(config, bytes_per_token);
  const int64_t useful = config.max_batch_size * (context / kKvBlockTokens + 2) * 2;
  const int64_t blocks = std::min(memory / per_block, context > 0 ? useful : memory / per_block);
  check(blocks >= 1, "--kv-cache-memory: {} bytes hold no block of {} tokens ({} bytes)", memory,
        kKvBlockTokens, per_block);
  return blocks;
}

ServingMemory memory_without_pool(const ServingConfig& config, const Fields& fields,
                                  const LoadedTokenModel& loaded, int64_t context) {
  for (const char* key :
       {"serving.kv_cache_layout", "serving.kv_cache_dtype", "inference.use_paged_attention"}) {
    if (fields.is_set(key))
      fields.fail_at(
          key,
          fmt::format("{} has no effect: this model's texts have memory of their own ({})", key,
                      loaded.why_not_packed),
          "leave it out");
  }
  ServingMemory memory;
  const bool bounded =
      config.kv_cache_memory > 0 || config.kv_cache_tokens > 0 || loaded.device == "cpu";
  const int64_t element = loaded.dtype == "float32" ? 4 : 2;
  const int64_t per_token = kv_cache_bytes_per_token(loaded.config, element);
  const int64_t bytes = memory_given(config, per_token);
  const int64_t per_text = per_token * std::max<int64_t>(context, 1);
  check(!bounded || bytes >= per_text,
        "--kv-cache-memory: {} bytes hold no text of {} tokens ({} bytes)", bytes, context,
        per_text);
  memory.max_batch_size =
      bounded ? std::min(config.max_batch_size, bytes / per_text) : config.max_batch_size;
  memory.kv.max_blocks = 1;
  memory.text =
      fmt::format("no KV pool ({}): {} texts together at most, of {} of keys and values each",
                  loaded.why_not_packed, memory.max_batch_size, memory_text(per_text));
  return memory;
}

}  // namespace

void ServingConfig::server_fields(Fields& f) {
  f("host", host, "Address to listen on", non_empty()).flag("host");
  f("port", port, "Port; 0 takes a free one", in_range(0, 65535)).flag("port");
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
  f("stall_timeout", stall_timeout,
    "Seconds that one pass may take before /health says 503; 0 is no limit", in_range(0, 86'400))
      .flag("stall-timeout");
}

void ServingConfig::engine_fields(Fields& f) {
  f("max_batch_size", max_batch_size, "Requests computed together", in_range(1, 4096))
      .flag("max-batch-size");
  f("kv_cache_memory", kv_cache_memory, "Bytes for keys and values; 0 takes a quarter of memory",
    at_least(0))
      .flag("kv-cache-memory");
  f("kv_cache_layout", kv_cache_layout, "How that memory is shared out",
    one_of({"paged", "slab", "bmc"}))
      .flag("kv-cache-layout");
  f("kv_cache_dtype", kv_cache_dtype, "auto is the model's format; int8 and fp8 take half",
    one_of({"auto", "int8", "fp8"}))
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

ServingMemory plan_serving_memory(const ServingConfig& config, const Fields& fields,
                                  const LoadedTokenModel& loaded, int64_t context) {
  const Codes codes = parse_codes(config.kv_cache_dtype).value_or(Codes::none);
  const int64_t bytes = loaded.model->kv_bytes_per_token(codes);
  if (bytes == 0) return memory_without_pool(config, fields, loaded, context);
  ServingMemory memory;
  memory.max_batch_size = config.max_batch_size;
  memory.kv.layout = config.kv_cache_layout;
  memory.kv.codes = codes;
  memory.kv.slab_tokens = context;
  memory.kv.max_blocks = blocks_for(config, bytes, context);
  const int64_t tokens = memory.kv.max_blocks * kKvBlockTokens;
  memory.text =
      fmt::format("KV cache: {} tokens, {}, {}{}", tokens, memory_text(tokens * bytes),
                  memory.kv.layout, codes == Codes::none ? "" : ", " + config.kv_cache_dtype);
  return memory;
}

}  // namespace llm
