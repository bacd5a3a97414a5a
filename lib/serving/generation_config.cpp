#include "serving/generation_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/config.h"
#include "base/error.h"
#include "base/file_io.h"
#include "base/json_reader.h"
#include "base/random.h"
#include "base/utf8.h"

namespace llm {
namespace {

constexpr int64_t kDefaultNewTokens = 20;
constexpr int64_t kLargestSeed = (int64_t{1} << 53) - 1;  // survives JSON
constexpr int64_t kManyTokens = int64_t{1} << 40;

struct Range {
  double low, high;
};
constexpr Range kTemperature{0, 2}, kShare{0, 1}, kRepetition{0.01, 10}, kPenalty{-2, 2},
    kBias{-100, 100}, kLengthPenalty{-10, 10};
constexpr int64_t kMostBeams = 64, kMostTopLogprobs = 20, kMostDraft = 64;

FieldRule within(Range range) { return in_range(range.low, range.high); }

void check_range(std::string_view name, double value, Range range) {
  check(value >= range.low && value <= range.high, "{} must be between {} and {}, got {}", name,
        range.low, range.high, value);  // false for NaN
}

void check_least(std::string_view name, int64_t value, int64_t low) {
  check(value >= low, "{} must be at least {}, got {}", name, low, value);
}

const std::vector<std::string>& context_policies() {
  static const std::vector<std::string> policies = {"error", "truncate-left", "slide"};
  return policies;
}

bool is_context_policy(const std::string& policy) {
  const auto& known = context_policies();
  return std::find(known.begin(), known.end(), policy) != known.end();
}

std::string unknown_policy(const std::string& policy) {
  return fmt::format("'{}' is not supported; choose {}", policy,
                     fmt::join(context_policies(), ", "));
}

/// Blanks each comma that only white space separates from a closing bracket. Positions stay, so
/// that errors point to the right place.
std::string without_trailing_commas(std::string_view json) {
  std::string text(json);
  size_t comma = std::string::npos;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') continue;
    if ((c == '}' || c == ']') && comma != std::string::npos) text[comma] = ' ';
    comma = c == ',' ? i : std::string::npos;
    in_string = c == '"';
  }
  return text;
}

/// Reads keys into members unless the user set them.
struct DefaultsReader {
  const JsonView& json;
  const std::function<bool(std::string_view)>& is_explicit;

  std::optional<JsonView> open_key(std::string_view key) const {
    return json.has(key) && !(is_explicit && is_explicit(key)) ? json.find(key) : std::nullopt;
  }
  void read(std::string_view key, bool& value) const {
    if (const auto found = open_key(key)) value = found->as_bool();
  }
  /// transformers' "never" goes on until no text can become better, which is what false means here.
  void read_early_stopping(bool& value) const {
    const auto found = open_key("early_stopping");
    if (!found) return;
    value = found->value() == "never" ? false : found->as_bool();
  }
  void read(std::string_view key, double& value, Range range) const {
    if (const auto found = open_key(key)) value = found->as_double(range.low, range.high);
  }
  void read(std::string_view key, int64_t& value, int64_t low, int64_t high = kManyTokens) const {
    if (const auto found = open_key(key)) value = found->as_int(low, high);
  }
  void read_context_policy(std::string& value) const {
    const auto found = open_key("max_context_policy");
    if (!found) return;
    value = found->as_string();
    if (!is_context_policy(value)) found->fail(unknown_policy(value));
  }
  void read(std::string_view key, std::optional<int64_t>& value, int64_t low) const {
    if (const auto found = open_key(key)) value = found->as_int(low, kManyTokens);
  }
  void read(std::string_view key, std::vector<std::string>& value) const {
    const auto found = open_key(key);
    if (!found) return;
    value.clear();
    if (found->value().is_string()) {
      value.push_back(found->as_string());
      return;
    }
    for (size_t i = 0; i < found->size(); ++i) value.push_back(found->element(i).as_string());
  }
};

void merge_eos(std::vector<int64_t>& ids, int64_t id) {
  if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

/// eos_token_id is one id or a list; either way it joins what is there already.
void read_eos(const JsonView& json, std::vector<int64_t>& ids) {
  if (!json.has("eos_token_id")) return;
  const JsonView eos = json.at("eos_token_id");
  if (!eos.value().is_array()) {
    merge_eos(ids, eos.as_int(0, kManyTokens));
    return;
  }
  for (size_t i = 0; i < eos.size(); ++i) merge_eos(ids, eos.element(i).as_int(0, kManyTokens));
}

void check_fields(const GenerationConfig& config, const GenerationLimits& limits) {
  if (config.max_new_tokens) check_least("max_new_tokens", *config.max_new_tokens, 0);
  check_least("min_new_tokens", config.min_new_tokens, 0);
  check_range("temperature", config.temperature, kTemperature);
  check_least("top_k", config.top_k, 0);
  check_range("top_p", config.top_p, kShare);
  check_range("min_p", config.min_p, kShare);
  check_range("repetition_penalty", config.repetition_penalty, kRepetition);
  check_range("frequency_penalty", config.frequency_penalty, kPenalty);
  check_range("presence_penalty", config.presence_penalty, kPenalty);
  check_least("num_beams", config.num_beams, 1);
  check(config.num_beams <= kMostBeams, "num_beams must be at most {}, got {}", kMostBeams,
        config.num_beams);
  check_range("length_penalty", config.length_penalty, kLengthPenalty);
  check(config.top_logprobs >= 0 && config.top_logprobs <= kMostTopLogprobs,
        "top_logprobs must be between 0 and {}, got {}", kMostTopLogprobs, config.top_logprobs);
  check(config.num_speculative_tokens >= 0 && config.num_speculative_tokens <= kMostDraft,
        "num_speculative_tokens must be between 0 and {}, got {}", kMostDraft,
        config.num_speculative_tokens);
  for (const auto& [id, bias] : config.logit_bias) {
    check(id >= 0 && (limits.vocab_size == 0 || id < limits.vocab_size),
          "logit_bias id {} is out of range", id);
    check_range("logit_bias", bias, kBias);
  }
  check_least("num_return_sequences", config.num_return_sequences, 1);
  check(config.num_beams == 1 || config.num_return_sequences <= config.num_beams,
        "num_return_sequences must not exceed num_beams ({}), got {}", config.num_beams,
        config.num_return_sequences);
  check(config.seed >= -1 && config.seed <= kLargestSeed,
        "seed must be -1 (random) or from 0 to {}, got {}", kLargestSeed, config.seed);
  for (const std::string& stop : config.stop_strings) {
    check(!stop.empty(), "stop strings must not be empty");
    check(utf8::is_valid(stop), "stop strings must be valid UTF-8: no text holds other bytes");
  }
  if (!is_context_policy(config.max_context_policy))
    fail(Exit::usage, "max_context_policy: " + unknown_policy(config.max_context_policy));
  for (const int64_t id : config.eos_token_id) {
    check(id >= 0 && (limits.vocab_size == 0 || id < limits.vocab_size),
          "eos_token_id {} is not a token of this model (vocab_size {})", id, limits.vocab_size);
  }
}

}  // namespace

void GenerationConfig::fields(Fields& f) {
  f("max_new_tokens", max_new_tokens, "New tokens at most", at_least(0))
      .flag("max-tokens")
      .flag("max-new-tokens")
      .alias("max_tokens");
  f("min_new_tokens", min_new_tokens, "The text cannot end before this many new tokens",
    at_least(0))
      .flag("min-new-tokens");
  f("ignore_eos", ignore_eos, "Go on past the end-of-text token").flag("ignore-eos");
  f("do_sample", do_sample, "Draw at random; false takes the most probable token each time")
      .flag("do-sample");
  f("temperature", temperature,
    "Sharpness of the draw: 0 is the most probable token, 1 the model's own distribution",
    within(kTemperature))
      .flag("temperature");
  f("top_k", top_k, "Draw among the k most probable tokens; 0 is off", at_least(0)).flag("top-k");
  f("top_p", top_p,
    "Draw among the most probable tokens that together reach this probability; 1 is off",
    within(kShare))
      .flag("top-p");
  f("min_p", min_p, "Drop tokens below this share of the best token's probability; 0 is off",
    within(kShare))
      .flag("min-p");
  f("repetition_penalty", repetition_penalty,
    "Divides the logits of tokens already in prompt or text; 1 is off", within(kRepetition))
      .flag("repetition-penalty");
  f("frequency_penalty", frequency_penalty,
    "Lowers a token's logit by this for each time it was generated", within(kPenalty))
      .flag("frequency-penalty");
  f("presence_penalty", presence_penalty, "Lowers a token's logit by this once it was generated",
    within(kPenalty))
      .flag("presence-penalty");
  f("num_beams", num_beams, "Beams; more than 1 searches for the most probable text",
    in_range(1, kMostBeams))
      .flag("num-beams");
  f("length_penalty", length_penalty, "Beam search: scores are divided by the length to this power",
    within(kLengthPenalty))
      .flag("length-penalty");
  f("early_stopping", early_stopping, "Beam search: end as soon as num_beams texts are finished")
      .flag("early-stopping");
  f("num_speculative_tokens", num_speculative_tokens,
    "Tokens guessed ahead and checked in one pass; the text stays the same; 0 is off",
    in_range(0, kMostDraft))
      .flag("num-speculative-tokens")
      .alias("num_speculated_tokens");
  f("num_return_sequences", num_return_sequences, "Texts per prompt, each with draws of its own",
    in_range(1, 4096))
      .flag("num-return-sequences");
  f("eos_token_id", eos_token_id, "Further token ids that end the text", at_least(0))
      .flag("eos-token-id");
  f("pad_token_id", pad_token_id, "Token id that the repetition penalty leaves alone", at_least(0))
      .flag("pad-token-id");
  f("stop_strings", stop_strings, "Texts at which to stop; they are not part of the result",
    non_empty())
      .flag("stop")
      .verbatim();
  f("return_probs", return_probs, "Report each token's probability after the filters (--json)")
      .flag("return-probs");
  f("return_logprobs", return_logprobs,
    "Report each token's log probability in the raw distribution (--json)")
      .flag("return-logprobs");
  f("return_input_logprobs", return_input_logprobs,
    "Report the log probabilities of the prompt's tokens (--json)")
      .flag("return-input-logprobs");
  f("top_logprobs", top_logprobs, "Report the k most probable tokens in each place (--json)",
    in_range(0, kMostTopLogprobs))
      .flag("top-logprobs");
  f("return_text", return_text, "Report the text, not only token ids").flag("return-text");
  f("max_context_policy", max_context_policy,
    "Where prompt and new tokens exceed the model's context", one_of(context_policies()))
      .flag("max-context-policy");
}

GenerationConfig library_defaults() {
  GenerationConfig config;
  config.max_new_tokens.reset();
  config.temperature = 1.0;
  config.do_sample = false;
  config.return_text = false;
  return config;
}

void adopt_model_defaults(GenerationConfig& config, std::string_view json_text,
                          std::string_view source_name,
                          const std::function<bool(std::string_view)>& is_explicit) {
  const nlohmann::json document =
      parse_json(without_trailing_commas(json_text), source_name, {.max_bytes = uint64_t{1} << 20});
  const JsonView json(document, std::string(source_name));
  json.expect_object();
  const DefaultsReader reader{json, is_explicit};
  reader.read("max_new_tokens", config.max_new_tokens, 0);
  reader.read("min_new_tokens", config.min_new_tokens, 0);
  reader.read("ignore_eos", config.ignore_eos);
  reader.read("do_sample", config.do_sample);
  reader.read("temperature", config.temperature, kTemperature);
  reader.read("top_k", config.top_k, 0);
  reader.read("top_p", config.top_p, kShare);
  reader.read("min_p", config.min_p, kShare);
  reader.read("repetition_penalty", config.repetition_penalty, kRepetition);
  reader.read("frequency_penalty", config.frequency_penalty, kPenalty);
  reader.read("presence_penalty", config.presence_penalty, kPenalty);
  reader.read("num_beams", config.num_beams, 1);
  reader.read("length_penalty", config.length_penalty, kLengthPenalty);
  reader.read_early_stopping(config.early_stopping);
  reader.read("num_return_sequences", config.num_return_sequences, 1);
  reader.read("num_speculative_tokens", config.num_speculative_tokens, 0, kMostDraft);
  reader.read_context_policy(config.max_context_policy);
  reader.read("pad_token_id", config.pad_token_id, 0);
  reader.read("stop_strings", config.stop_strings);
  read_eos(json, config.eos_token_id);
}

void adopt_model_defaults_from(GenerationConfig& config, const std::filesystem::path& model_dir,
                               const std::function<bool(std::string_view)>& is_explicit) {
  const std::filesystem::path path = model_dir / "generation_config.json";
  if (!std::filesystem::exists(path)) return;
  adopt_model_defaults(config, read_file(path), path.string(), is_explicit);
}

bool FrozenGenerationConfig::greedy() const {
  return !config_.do_sample || config_.temperature < kGreedyBelow;
}

bool FrozenGenerationConfig::ends_text(int32_t id) const {
  return std::find(config_.eos_token_id.begin(), config_.eos_token_id.end(), id) !=
         config_.eos_token_id.end();
}

FrozenGenerationConfig freeze(GenerationConfig config, const GenerationLimits& limits,
                              std::vector<std::string>* warnings) {
  check_fields(config, limits);
  const auto warn = [&](std::string text) {
    if (warnings != nullptr) warnings->push_back(std::move(text));
  };
  if (!config.max_new_tokens) {
    config.max_new_tokens = kDefaultNewTokens;
    warn(fmt::format("max_new_tokens is not set: {} is used", kDefaultNewTokens));
  }
  const bool bounded = limits.context_length > 0 && config.max_context_policy != "slide";
  if (bounded && *config.max_new_tokens > limits.context_length) {
    warn(fmt::format("max_new_tokens {} is cut to the context of {} tokens", *config.max_new_tokens,
                     limits.context_length));
    config.max_new_tokens = limits.context_length;
  }
  if (!config.pad_token_id && !config.eos_token_id.empty())
    config.pad_token_id = config.eos_token_id.front();
  FrozenGenerationConfig frozen;
  frozen.seed_ = config.seed == -1 ? fresh_seed() : static_cast<uint64_t>(config.seed);
  config.seed = static_cast<int64_t>(frozen.seed_);
  frozen.tokens_ = limits.tokens;
  frozen.config_ = std::move(config);
  return frozen;
}

}  // namespace llm
