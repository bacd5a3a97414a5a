// /tokenize, /detokenize, /apply-template, and what the server tells of its model.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/utf8.h"
#include "serving/http/api/answer_json.h"
#include "serving/http/api/chat_messages.h"
#include "serving/http/api/chat_tools.h"
#include "serving/http/api/generation_fields.h"
#include "serving/http/api/plain_routes.h"
#include "serving/http/api/prompt_field.h"
#include "serving/http/api/route_bodies.h"
#include "serving/http/json_body.h"

namespace llm::api {
namespace {

using http::HttpError;
using nlohmann::json;

OrderedJson model_entry(const ServedModel& model) {
  return {{"id", model.name()},
          {"object", "model"},
          {"created", model.created()},
          {"owned_by", "llm"},
          {"max_model_len", model.max_model_len()},
          {"meta",
           {{"n_vocab", model.model().vocab_size()},
            {"n_ctx_train", model.model().context_length()},
            {"n_params", model.options().parameters},
            {"dtype", model.options().dtype},
            {"quantization", model.options().quantization}}}};
}

OrderedJson adapter_entry(const ServedModel& model, const ServedAdapter& adapter) {
  OrderedJson entry = model_entry(model);
  entry["id"] = adapter.name;
  entry["created"] = adapter.created;
  entry["parent"] = model.name();
  return entry;
}

OrderedJson special(const ServedModel& model, int32_t id) {
  return id < 0 ? OrderedJson(nullptr) : OrderedJson(model.tokenizer().token_text(id));
}

/// Ids of a text. One that is nothing but the spelling of a special token is that token: so clients
/// learn the ids of what /tokenizer_info names (lm-eval does).
std::vector<int32_t> spelled_ids(const Tokenizer& tokenizer, const std::string& text) {
  for (const int32_t id : {tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()}) {
    if (id >= 0 && tokenizer.token_text(id) == text) return {id};
  }
  return tokenizer.encode(text);
}

/// Special tokens as they are spelled, as vLLM and llama.cpp do it; what stands between two of them
/// goes on in a text, so that no model takes a space off it.
std::string spelled_text(const Tokenizer& tokenizer, std::span<const int32_t> ids) {
  const auto special = [&](int32_t id) {
    return id < tokenizer.vocab_size() && tokenizer.is_special(id);
  };
  const auto first = std::find_if(ids.begin(), ids.end(), special);
  std::string text = tokenizer.decode(ids);  // refuses ids that are none
  if (first == ids.end()) return text;
  text = tokenizer.decode({ids.begin(), first});
  for (auto id = first; id != ids.end(); ++id)
    text += special(*id) ? tokenizer.token_text(*id) : tokenizer.token_bytes(*id);
  return text;
}

}  // namespace

void answer_tokenize(const ServedModel& model, const http::Request& request,
                     const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/tokenize").fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/tokenize", body);
  asked_model(body, model);
  one_of_names(body, {"prompt", "content", "messages"});
  one_of_names(body, {"add_special_tokens", "add_special"});
  std::vector<int32_t> ids;
  if (body.has("messages")) {
    const OrderedJson ordered = ordered_body(request);
    ids = model.encode_chat(read_messages(ordered["messages"]), nullptr, true);
  } else {
    // vLLM's and llama.cpp's names; vLLM adds special tokens unless told not to.
    const bool llama = body.has("content");
    if (!llama && !body.has("prompt")) http::missing_field("prompt");
    const bool add =
        llama ? body.flag("add_special", false) : body.flag("add_special_tokens", true);
    ids = spelled_ids(model.tokenizer(), body.text(llama ? "content" : "prompt", ""));
    if (add) ids = model.tokenizer().with_template(std::move(ids));
  }
  reply->send_json(
      200,
      dumped({{"tokens", ids}, {"count", ids.size()}, {"max_model_len", model.max_model_len()}}));
}

void answer_detokenize(const ServedModel& model, const http::Request& request,
                       const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/detokenize").fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/detokenize", body);
  asked_model(body, model);
  const json& given = body.require("tokens");
  if (!given.empty() && !given[0].is_number())
    body.refuse("tokens", "tokens must be a list of ids");
  std::string text;
  if (!given.empty())
    text = spelled_text(model.tokenizer(), read_token_ids(model, given, "tokens"));
  reply->send_json(200, dumped({{"prompt", text}, {"content", text}}));
}

void answer_apply_template(const ServedModel& model, const http::Request& request,
                           const http::ReplyPtr& reply) {
  static const std::vector<http::Field> kFields = route_body("/apply-template").fields;
  const json document = http::json_body(request);
  const http::FieldReader body(document, kFields);
  heed_unknown_fields(model, "/apply-template", body);
  body.require("messages");
  const OrderedJson ordered = ordered_body(request);
  const OrderedJson tools = ordered.value("tools", OrderedJson(nullptr));
  read_body_tools(tools);  // refuses what is none
  std::string text;
  model.encode_chat(read_messages(ordered["messages"]), tools,
                    body.flag("add_generation_prompt", true), &text);
  reply->send_json(200, dumped({{"prompt", text}}));
}

void answer_tokenizer_info(const ServedModel& model, const http::ReplyPtr& reply) {
  const Tokenizer& tokenizer = model.tokenizer();
  reply->send_json(200,
                   dumped({{"eos_token", special(model, tokenizer.eos_id())},
                           {"bos_token", special(model, tokenizer.bos_id())},
                           {"pad_token", special(model, tokenizer.pad_id())},
                           {"vocab_size", tokenizer.vocab_size()},
                           {"sha256", tokenizer.sha256()},
                           {"chat_template", model.chat_template() == nullptr
                                                 ? OrderedJson(nullptr)
                                                 : OrderedJson(model.chat_template()->source())}}));
}

void answer_models(const ServedModel& model, const http::ReplyPtr& reply) {
  OrderedJson data = OrderedJson::array({model_entry(model)});
  for (const ServedAdapterPtr& adapter : model.adapters().all())
    data.push_back(adapter_entry(model, *adapter));
  reply->send_json(200, dumped({{"object", "list"}, {"data", std::move(data)}}));
}

void answer_model(const ServedModel& model, const http::Request& request,
                  const http::ReplyPtr& reply) {
  const std::string asked(request.param("model"));
  const ServedAdapterPtr adapter = model.adapters().find(asked);
  if (!adapter) find_model(model, asked, "model");
  reply->send_json(200, dumped(adapter ? adapter_entry(model, *adapter) : model_entry(model)));
}

void answer_model_info(const ServedModel& model, const http::ReplyPtr& reply) {
  reply->send_json(200, dumped({{"name", model.name()},
                                {"total_parameters", model.options().parameters},
                                {"dtype", model.options().dtype},
                                {"quantization", model.options().quantization},
                                {"vocab_size", model.model().vocab_size()},
                                {"context_length", model.model().context_length()},
                                {"max_model_len", model.max_model_len()},
                                {"tokenizer_sha256", model.tokenizer().sha256()}}));
}

void answer_props(const ServedModel& model, const http::ReplyPtr& reply) {
  const GenerationConfig& defaults = model.options().defaults;
  reply->send_json(
      200, dumped({{"default_generation_settings",
                    {{"n_ctx", model.max_model_len()},
                     {"params",
                      {{"n_predict", defaults.max_new_tokens.value_or(20)},
                       {"temperature", defaults.temperature},
                       {"top_k", defaults.top_k},
                       {"top_p", defaults.top_p},
                       {"min_p", defaults.min_p},
                       {"repeat_penalty", defaults.repetition_penalty}}}}},
                   {"total_slots", model.engine().max_batch_size()},
                   {"model_path", model.name()},
                   {"chat_template",
                    model.chat_template() == nullptr ? "" : model.chat_template()->source()}}));
}

void answer_status(const RequestStatuses& statuses, const http::Request& request,
                   const http::ReplyPtr& reply) {
  const std::string_view id = request.param("id");
  const auto entry = statuses.find(reply->client(), id);
  if (!entry)
    throw HttpError(404, "not_found", fmt::format("there is no request '{}', or no longer", id),
                    "id");
  reply->send_json(200, dumped({{"request_id", entry->id},
                                {"status", request_status_name(entry->status)},
                                {"message", entry->message},
                                {"created_at", entry->created}}));
}

}  // namespace llm::api
