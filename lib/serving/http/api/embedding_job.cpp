#include "serving/http/api/embedding_job.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <span>

#include "base/error.h"
#include "serving/http/api/choices.h"

namespace llm::api {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr size_t kAloneTokens = 256;
constexpr size_t kCrowdTokens = 32;  // a piece is about as long as a pass beside it

void normalise(std::vector<float>& values) {
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  const auto length = static_cast<float>(std::sqrt(sum));
  if (length > 0) {
    for (float& x : values) x /= length;
  }
}

class EmbeddingJob final : public EngineJob {
 public:
  EmbeddingJob(const ServedModel& model, http::ReplyPtr reply, EmbeddingTask task)
      : model_(model), reply_(std::move(reply)), task_(std::move(task)) {
    const auto timeout = model.options().request_timeout;
    if (timeout.count() > 0) deadline_ = SteadyClock::now() + timeout;
    reply_->on_close([left = left_] { left->store(true); });
  }

  bool piece(bool alone) override {
    if (*left_) return false;
    if (SteadyClock::now() > deadline_) {
      reply_->send_error(ended_early(model_, true));
      return false;
    }
    try {
      read(alone ? kAloneTokens : kCrowdTokens);
      if (embeddings_.size() < task_.texts.size()) return true;
      reply_->send_json(200, task_.body(std::move(embeddings_)));
    } catch (...) {
      reply_->send_exception(std::current_exception(), "embeddings");
    }
    return false;
  }

  bool is_over() override { return *left_ || SteadyClock::now() > deadline_; }

  void abandon() override { reply_->send_error(ended_early(model_, false)); }

 private:
  /// At most `tokens` more of the text that is being read.
  void read(size_t tokens) {
    const std::span<const int32_t> text = task_.texts[embeddings_.size()];
    if (!sequence_) {
      sequence_ = model_.model().start(std::ssize(text));
      sequence_->use_adapter(task_.adapter);
    }
    const auto done = static_cast<size_t>(sequence_->length());
    const auto part = text.subspan(done, std::min(tokens, text.size() - done));
    check(sequence_->reserve(std::ssize(text)), "no memory for a text of {} tokens", text.size());
    if (done + part.size() < text.size()) {
      const TokenSegment segment{sequence_.get(), part, TokenSegment::Logits::none};
      model_.model().forward({&segment, 1}, {});
      return;
    }
    embeddings_.push_back(model_.model().append_hidden(*sequence_, part));
    if (task_.normalised) normalise(embeddings_.back());
    sequence_.reset();
  }

  const ServedModel& model_;
  http::ReplyPtr reply_;
  EmbeddingTask task_;
  SteadyClock::time_point deadline_ = SteadyClock::time_point::max();
  std::shared_ptr<std::atomic<bool>> left_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<TokenSequence> sequence_;
  std::vector<std::vector<float>> embeddings_;
};

}  // namespace

void run_embeddings(const ServedModel& model, const http::ReplyPtr& reply, EmbeddingTask task) {
  if (model.engine().submit_job(std::make_unique<EmbeddingJob>(model, reply, std::move(task))))
    return;
  throw queue_full(model);
}

}  // namespace llm::api
