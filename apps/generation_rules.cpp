#include "apps/generation_rules.h"

#include "base/log.h"

namespace llm {
namespace {

FieldTexts generation_texts(GenerationConfig config) {
  Fields fields;
  fields.section("generation", config);
  return texts_of(fields);
}

bool has_beams(const GenerationConfig& c) { return c.num_beams > 1; }

std::vector<GenerationRule> draw_rules() {
  const std::string temperature = "generation.temperature", top_k = "generation.top_k",
                    top_p = "generation.top_p", min_p = "generation.min_p";
  // Temperature 0 and the best token alone say that there is no draw, too.
  const std::vector<std::string> no_draw = {"0.0", "1"};
  return {
      {{temperature, top_k, top_p, min_p},
       {"generation.do_sample"},
       [](const GenerationConfig& c) { return !c.do_sample; },
       "",
       "--do-sample true draws",
       no_draw},
      {{top_k, top_p, min_p},
       {temperature},
       [](const GenerationConfig& c) { return c.temperature < kGreedyBelow; },
       "",
       "--temperature above 0 draws",
       no_draw},
      {{temperature, top_k, top_p, min_p},
       {"generation.num_beams"},
       has_beams,
       "",
       "beam search draws nothing",
       no_draw},
  };
}

std::vector<GenerationRule> other_rules() {
  return {
      {{"generation.num_speculative_tokens"},
       {"generation.num_beams"},
       has_beams,
       "",
       "beam search does not guess ahead"},
      {{"generation.return_probs"},
       {"generation.num_beams"},
       has_beams,
       "",
       "beam search draws nothing"},
      {{"generation.length_penalty", "generation.early_stopping"},
       {"generation.num_beams"},
       [](const GenerationConfig& c) { return c.num_beams == 1; },
       "",
       "--num-beams above 1 reads it"},
      {{"generation.pad_token_id"},
       {"generation.repetition_penalty"},
       [](const GenerationConfig& c) { return c.repetition_penalty == 1.0; },
       "",
       "--repetition-penalty other than 1 leaves that token alone"},
  };
}

}  // namespace

const std::vector<GenerationRule>& generation_rules() {
  static const std::vector<GenerationRule> rules = [] {
    std::vector<GenerationRule> all = draw_rules();
    for (GenerationRule& rule : other_rules()) all.push_back(std::move(rule));
    return all;
  }();
  return rules;
}

void refuse_idle_settings(const Fields& fields, const GenerationConfig& given) {
  const FieldTexts defaults = generation_texts({});
  for (const GenerationRule& rule : generation_rules()) {
    if (fields.is_set(rule.decided_by.front()) && rule.is_idle(given))
      refuse_idle_keys(fields, IdleKeys(rule), defaults);
  }
}

void refuse_idle_settings(const Fields& fields, const GenerationConfig& given,
                          const GenerationConfig& settled) {
  const FieldTexts defaults = generation_texts({}), before = generation_texts(given),
                   now = generation_texts(settled);
  for (const GenerationRule& rule : generation_rules()) {
    const std::string& decider = rule.decided_by.front();
    if (fields.is_set(decider) || !rule.is_idle(settled)) continue;
    const IdleKeys idle(rule);
    if (before.at(decider) == now.at(decider)) refuse_idle_keys(fields, idle, defaults);
    for (const Field* row : idle.asked_for(fields, defaults)) {
      log_warn("{} ({}) has no effect with {} {} of the model's generation_config.json: {}",
               row->flag_name(), row->text(), fields.find(decider)->flag_name(), now.at(decider),
               rule.hint);
    }
  }
}

}  // namespace llm
