// POST /v1/embeddings (OpenAI's shape, float or base64) and /embed.
//
// An embedding is the hidden state behind the text's last token, after the final norm: of length 1
// where normalised, which /v1/embeddings always is.
#include <fmt/format.h>

#include <cstring>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/embedding_job.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/api/prompt_field.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"
#include "tokenizer/base64.h"

namespace llm::api {
namespace {

using nlohmann::json;

std::string base64(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());  // little endian, as the clients read it
  return encode_base64(bytes);
}

constexpr size_t kMostInputs = 2048;
constexpr size_t kMostNumbers = size_t{1} << 22;  // of one answer, written as digits
constexpr size_t kMostPackedNumbers = 4 * kMostNumbers;

/// `most_numbers`: that the embeddings may have together.
std::vector<std::vector<int32_t>> input_texts(const ServedModel& model,
                                              const http::FieldReader& body, size_t most_numbers) {
  auto texts = read_prompts(model, body.require("input"), "input", kMostInputs);
  const auto width = static_cast<size_t>(model.model().hidden_size());
  if (texts.size() * width > most_numbers)
    body.refuse("input", fmt::format("input: {} embeddings of {} numbers; an answer holds {} at "
                                     "most",
                                     texts.size(), width, most_numbers / width));
  for (const auto& ids : texts) check_text_length(model, ids.size(), false, "input");
  return texts;
}

}  // namespace

void answer_embeddings(const ServedModel& model, const http::Request& request,
                       const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/v1/embeddings").fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/v1/embeddings", body);
  const AskedModel asked = asked_model(body, model);
  const std::string format = body.text("encoding_format", "float");
  if (format != "float" && format != "base64")
    body.refuse("encoding_format", "encoding_format must be float or base64");
  if (body.whole("dimensions", model.model().hidden_size()) != model.model().hidden_size())
    body.refuse("dimensions", fmt::format("dimensions: this model's embeddings have {}",
                                          model.model().hidden_size()));
  EmbeddingTask task{
      .texts = input_texts(model, body, format == "base64" ? kMostPackedNumbers : kMostNumbers),
      .adapter = asked.adapter,
      .normalised = true,
      .body = {}};
  size_t tokens = 0;
  for (const auto& ids : task.texts) tokens += ids.size();
  task.body = [tokens, name = asked.name, format](std::vector<std::vector<float>>&& embeddings) {
    OrderedJson data = OrderedJson::array();
    for (const std::vector<float>& values : embeddings)
      data.push_back(
          {{"object", "embedding"},
           {"index", data.size()},
           {"embedding", format == "base64" ? OrderedJson(base64(values)) : OrderedJson(values)}});
    return dumped({{"object", "list"},
                   {"data", std::move(data)},
                   {"model", name},
                   {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}});
  };
  run_embeddings(model, reply, std::move(task));
}

void answer_embed(const ServedModel& model, const http::Request& request,
                  const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/embed").fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/embed", body);
  const AskedModel asked = asked_model(body, model);
  EmbeddingTask task{.texts = input_texts(model, body, kMostNumbers),
                     .adapter = asked.adapter,
                     .normalised = body.flag("normalize", false),
                     .body = {}};
  task.body = [width = model.model().hidden_size()](std::vector<std::vector<float>>&& embeddings) {
    return dumped({{"embeddings", embeddings}, {"dim", width}});
  };
  run_embeddings(model, reply, std::move(task));
}

}  // namespace llm::api
