// POST /v1/embeddings (OpenAI's shape, float or base64) and /embed (features B62).
//
// An embedding is the hidden state behind the text's last token, after the final norm: of length 1
// where normalised, which /v1/embeddings always is.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "serving/http/api/answer_json.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"
#include "tokenizer/base64.h"

namespace llm::api {
namespace {

using nlohmann::json;

std::vector<float> embedding(const ServedModel& model, const std::vector<int32_t>& ids,
                             const ModelAdapterPtr& adapter, bool normalised) {
  std::vector<float> values = model.model().last_hidden_state(ids, adapter);
  if (!normalised) return values;
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  const auto length = static_cast<float>(std::sqrt(sum));
  if (length > 0) {
    for (float& x : values) x /= length;
  }
  return values;
}

std::string base64(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());  // little endian, as the clients read it
  return encode_base64(bytes);
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
  OrderedJson data = OrderedJson::array();
  size_t tokens = 0;
  for (const auto& ids : read_prompts(model, body.require("input"), "input")) {
    check_prompt_length(model, ids.size(), false, "input");
    tokens += ids.size();
    const std::vector<float> values = embedding(model, ids, asked.adapter, true);
    data.push_back(
        {{"object", "embedding"},
         {"index", data.size()},
         {"embedding", format == "base64" ? OrderedJson(base64(values)) : OrderedJson(values)}});
  }
  reply->send_json(200, dumped({{"object", "list"},
                                {"data", std::move(data)},
                                {"model", asked.name},
                                {"usage", {{"prompt_tokens", tokens}, {"total_tokens", tokens}}}}));
}

void answer_embed(const ServedModel& model, const http::Request& request,
                  const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/embed").fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/embed", body);
  const AskedModel asked = asked_model(body, model);
  OrderedJson embeddings = OrderedJson::array();
  for (const auto& ids : read_prompts(model, body.require("input"), "input")) {
    check_prompt_length(model, ids.size(), false, "input");
    embeddings.push_back(embedding(model, ids, asked.adapter, body.flag("normalize", false)));
  }
  reply->send_json(
      200, dumped({{"embeddings", std::move(embeddings)}, {"dim", model.model().hidden_size()}}));
}

}  // namespace llm::api
