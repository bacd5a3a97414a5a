// llm verify-export: two forms of one model must cut texts into the same tokens and compute the
// same logits. A fault of an export is otherwise seen only as gibberish, much later.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/model_files.h"
#include "apps/shared_options.h"
#include "base/error.h"
#include "base/number_text.h"
#include "base/stdout.h"
#include "model/model_io.h"
#include "model/parameter_source.h"

namespace llm {
namespace {

namespace fs = std::filesystem;

// What models see: prose, digits, code, runs of spaces, other scripts, emoji, control characters.
constexpr std::array<const char*, 8> kTexts = {
    "Once upon a time, a small fox lived near the river and counted the boats that passed by.",
    "In 1984 the 27,301 inhabitants paid $3.50 each; 12.5% refused, and 0x1F of them wrote back.",
    "def mean(values):\n    if not values:\n        return None\n    return sum(values) / "
    "len(values)\n",
    "Tabs\tand   runs of   spaces,\n\n\nempty lines, and a trailing space ",
    "Grüße aus Köln, señor! Ça va? Nuair a bhí mé óg. Привет, мир. Γειά σου.",
    "東京は日本の首都です。我们今天去看电影。안녕하세요.",
    "A thumb 👍🏽, a family 👨‍👩‍👧, and a flag 🇫🇷 in one line.",
    "It's what they'll say: \"WE'VE won\" -- don't you agree? (Yes/No) [1] {x} <b>&amp;</b>"};

struct VerifyConfig {
  std::vector<std::string> models;
  std::string tokenizer_path;
  int64_t max_tokens = 256;
  double max_deviation = 0;
  bool json = false;

  void fields(Fields& f) {
    f("models", models, "The model and its other form: directories, runs or .gguf files")
        .flag("models")
        .flag_only()
        .verbatim()
        .value_name("A B");
    f("tokenizer_path", tokenizer_path, "Tokenizer of both, if neither has one")
        .flag("tokenizer-path")
        .flag_only()
        .value_name("FILE");
    f("max_tokens", max_tokens, "Tokens compared per text, at most", in_range(2, 4096))
        .flag("max-tokens")
        .flag_only();
    f("max_deviation", max_deviation,
      "Largest deviation of the logits, as a share of their spread; 0: by the number formats",
      in_range(0, 10))
        .flag("max-deviation")
        .flag_only();
    f("json", json, "Print one JSON object").flag("json").flag_only();
  }
};

struct Form {
  std::string path;
  std::string dtype;  // as stored
  bool tokenized = false;
  std::vector<std::vector<int32_t>> ids;
  std::vector<at::Tensor> logits;  // (T, V) float32 per text
};

struct Comparison {
  int64_t tokens = 0, greedy_equal = 0;
  double max_difference = 0, mean_difference = 0, kl = 0, deviation = 0;
};

/// How far the logits of a form may be from those of float32, as a share of their spread. Measured
/// on models of random weights: bf16 0.4-1 %, q8_0 1 %, q4_0 12-20 %; a wrong layout gives 100 %.
double allowed_deviation(const std::string& dtype) {
  if (dtype == "F32" || dtype == "F64") return 1e-3;
  if (dtype == "F16") return 1e-2;
  if (dtype == "BF16" || dtype == "Q8_0") return 5e-2;
  return 0.5;
}

std::vector<int32_t> fixed_ids(size_t text, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < 48; ++i)
    ids.push_back(static_cast<int32_t>((text * 7919 + i * i * 31 + i * 17 + 3) %
                                       static_cast<uint64_t>(vocab_size)));
  return ids;
}

/// Token ids of the texts, with an empty list where the model has no tokenizer.
void tokenize(Form& form, const fs::path& model, const std::string& named) {
  form.tokenized = !named.empty() || has_tokenizer(model);
  if (!form.tokenized) return;
  const auto tokenizer = open_model_tokenizer(model, named);
  for (const char* text : kTexts) form.ids.push_back(tokenizer->encode(text));
}

void compute_logits(Form& form, const fs::path& place, const VerifyConfig& config,
                    const EncryptionKey& key, const std::vector<std::vector<int32_t>>* ids) {
  const c10::InferenceMode inference;
  const ModelConfig model_config = load_model_config(place);
  const ParameterSource source(model_config, open_weights(place, key));
  form.dtype = source.stored_dtype();
  Transformer model(model_config, at::kFloat);
  source.copy_into(model);
  for (size_t text = 0; text < kTexts.size(); ++text) {
    std::vector<int32_t> own =
        ids != nullptr ? (*ids)[text] : fixed_ids(text, model_config.vocab_size);
    own.resize(std::min({own.size(), static_cast<size_t>(config.max_tokens),
                         static_cast<size_t>(model_config.max_position_embeddings)}));
    for (const int32_t id : own)
      check_input(id < model_config.vocab_size, "{}: token {} is not below vocab_size {}",
                  place.string(), id, model_config.vocab_size);
    const at::Tensor input = at::tensor(own, at::kLong).unsqueeze(0);
    form.logits.push_back(model.logits(model.hidden_states(input))[0].to(at::kFloat));
    // Nothing can be said of these: a comparison with what is no number is never true.
    check_input(form.logits.back().isfinite().all().item<bool>(),
                "'{}' computes logits that are not finite numbers (text {})", form.path, text + 1);
  }
}

Comparison compare(const Form& a, const Form& b) {
  Comparison result;
  double square = 0, spread = 0, sum = 0, count = 0;
  for (size_t text = 0; text < a.logits.size(); ++text) {
    const at::Tensor x = a.logits[text].to(at::kDouble), y = b.logits[text].to(at::kDouble);
    const at::Tensor difference = (x - y).abs();
    const at::Tensor p = at::log_softmax(x, -1), q = at::log_softmax(y, -1);
    result.tokens += x.size(0);
    result.max_difference = std::max(result.max_difference, difference.max().item<double>());
    sum += difference.sum().item<double>();
    count += static_cast<double>(difference.numel());
    result.kl += (p.exp() * (p - q)).sum().item<double>();
    result.greedy_equal += (x.argmax(-1) == y.argmax(-1)).sum().item<int64_t>();
    // A constant added to all logits of a token changes nothing.
    const at::Tensor cx = x - x.mean(-1, true), cy = y - y.mean(-1, true);
    square += (cx - cy).square().sum().item<double>();
    spread += cx.square().sum().item<double>();
  }
  result.mean_difference = sum / count;
  result.kl /= static_cast<double>(result.tokens);
  result.deviation = square > 0 ? std::sqrt(square / spread) : 0;
  return result;
}

/// Exit 3 at the first text that the two cut differently.
void compare_ids(const Form& a, const Form& b) {
  for (size_t text = 0; text < kTexts.size(); ++text) {
    const auto &x = a.ids[text], &y = b.ids[text];
    const auto [at_x, at_y] = std::mismatch(x.begin(), x.end(), y.begin(), y.end());
    if (at_x == x.end() && at_y == y.end()) continue;
    const auto shown = [](const std::vector<int32_t>& ids, auto place) {
      return place == ids.end() ? std::string("nothing") : fmt::format("{}", *place);
    };
    fail(Exit::bad_input,
         fmt::format("'{}' does not say what '{}' says: text {} (\"{}...\") is cut differently at "
                     "token {}: {} and {}",
                     b.path, a.path, text + 1, std::string(kTexts[text]).substr(0, 16),
                     at_x - x.begin(), shown(y, at_y), shown(x, at_x)),
         "the tokenizer was not exported as it is");
  }
}

std::string report(const Form& a, const Form& b, const Comparison& result, double allowed,
                   bool json) {
  if (json) {
    nlohmann::ordered_json out = {{"a", a.path},
                                  {"b", b.path},
                                  {"a_dtype", a.dtype},
                                  {"b_dtype", b.dtype},
                                  {"token_ids_compared", a.tokenized && b.tokenized},
                                  {"tokens", result.tokens},
                                  {"max_difference", result.max_difference},
                                  {"mean_difference", result.mean_difference},
                                  {"kl_nats_per_token", result.kl},
                                  {"greedy_equal", result.greedy_equal},
                                  {"deviation", result.deviation},
                                  {"allowed_deviation", allowed},
                                  {"equal", result.deviation <= allowed}};
    return out.dump(2) + "\n";
  }
  return fmt::format(
      "{} ({}) and {} ({})\n"
      "token ids         {}\n"
      "logits            |difference| at most {:.3g}, {:.3g} on average\n"
      "deviation         {:.3g} of the logits' spread, {:.3g} allowed\n"
      "KL divergence     {:.3g} nats per token\n"
      "greedy choice     equal for {} of {} tokens\n",
      a.path, a.dtype, b.path, b.dtype,
      a.tokenized && b.tokenized ? fmt::format("equal for {} texts", kTexts.size())
                                 : "not compared: only one has a tokenizer, or none",
      result.max_difference, result.mean_difference, result.deviation, allowed, result.kl,
      result.greedy_equal, result.tokens);
}

int verify(VerifyConfig& config, const Fields& fields) {
  check(config.models.size() == 2, "verify-export takes two models, was given {}",
        config.models.size());
  Form a, b;
  a.path = config.models[0];
  b.path = config.models[1];
  const fs::path place_a = resolve_model_path(a.path), place_b = resolve_model_path(b.path);
  tokenize(a, place_a, config.tokenizer_path);
  tokenize(b, place_b, config.tokenizer_path);
  const int64_t vocab_a = load_model_config(place_a).vocab_size,
                vocab_b = load_model_config(place_b).vocab_size;
  check_input(vocab_a == vocab_b, "'{}' has {} logits per token, '{}' has {}", b.path, vocab_b,
              a.path, vocab_a);
  if (a.tokenized && b.tokenized) compare_ids(a, b);
  const auto* ids = a.tokenized ? &a.ids : b.tokenized ? &b.ids : nullptr;
  const EncryptionKey key = shared_key(fields);
  compute_logits(a, place_a, config, key, ids);
  compute_logits(b, place_b, config, key, ids);
  const Comparison result = compare(a, b);
  const double allowed = config.max_deviation > 0
                             ? config.max_deviation
                             : std::max(allowed_deviation(a.dtype), allowed_deviation(b.dtype));
  write_stdout(report(a, b, result, allowed, config.json));
  if (!(result.deviation <= allowed)) {  // also where it is not a number
    flush_stdout();
    fail(Exit::bad_input,
         fmt::format("'{}' does not say what '{}' says: its logits deviate by {:.3g} of their "
                     "spread, {:.3g} is allowed between {} and {}",
                     b.path, a.path, result.deviation, allowed, a.dtype, b.dtype),
         "the weights or the config were not exported as they are");
  }
  return 0;
}

}  // namespace

Command verify_export_command() {
  return make_command<VerifyConfig>(
      {.name = "verify-export",
       .summary = "Prove that two forms of a model say the same",
       .details =
           "Compares the token ids of fixed texts and the float32 logits on them. Exit 0 where "
           "the\n"
           "ids are equal and the logits deviate by no more than the coarser of the two number\n"
           "formats explains, else exit 3.\n\n"
           "  llm verify-export checkpoints exported\n"
           "  llm verify-export hf model.gguf --max-deviation 0.02\n",
       .positional = "models"},
      verify);
}

}  // namespace llm
