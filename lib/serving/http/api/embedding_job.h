// Embeddings of an HTTP request's texts, computed on the engine's thread beside the texts that are
// being written: a chunk of tokens after each pass.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "serving/http/api/served_model.h"
#include "serving/http/reply.h"

namespace llm::api {

struct EmbeddingTask {
  std::vector<std::vector<int32_t>> texts;  // ids, none empty
  ModelAdapterPtr adapter;
  bool normalised = false;  // to length 1
  /// The body of the answer, of one embedding per text; on the engine's thread.
  std::function<std::string(std::vector<std::vector<float>>&&)> body;
};

/// Answers `reply` later: 200, 503 where it takes longer than the server allows. A client that
/// leaves ends it. Throws HttpError 429 where the queue is full. The model must outlive it.
void run_embeddings(const ServedModel& model, const http::ReplyPtr& reply, EmbeddingTask task);

}  // namespace llm::api
