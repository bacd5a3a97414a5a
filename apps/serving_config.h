// Section `serving` of a config: the listener of `llm api`, its engine, and the memory that the
// engine gets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/config.h"
#include "serving/kv_pool.h"
#include "serving/load_token_model.h"

namespace llm {

struct ServingConfig {
  std::string host = "127.0.0.1";
  int64_t port = 8000;
  std::vector<std::string> cors_origin;
  bool insecure = false;
  int64_t max_batch_size = 128;
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
  double stall_timeout = 30;

  // No rows of this section; section `inference` sets them (api_inference.h).
  bool continuous_batching = true;
  int64_t kv_cache_tokens = 0;  // for keys and values, in place of kv_cache_memory; 0: none given

  void fields(Fields& f) {
    server_fields(f);
    engine_fields(f);
  }
  void server_fields(Fields& f);
  void engine_fields(Fields& f);
};

struct ServingMemory {
  int64_t max_batch_size = 0;
  KvPoolOptions kv;
  std::string text;  // for the log
};

/// A model with a pool shares it out; one whose texts have memory of their own (it does not run
/// packed) computes as many together as fit with full contexts. Error(usage) where a flag would
/// have no effect, or memory holds nothing. context: of one text; 0 = no bound.
ServingMemory plan_serving_memory(const ServingConfig& config, const Fields& fields,
                                  const LoadedTokenModel& loaded, int64_t context);

}  // namespace llm
