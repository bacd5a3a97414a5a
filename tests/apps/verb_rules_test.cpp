// Flags of generate, chat, api and prepare-data that would change nothing are refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "apps/commands.h"
#include "apps/generate_config.h"
#include "apps/generation_rules.h"
#include "apps/prepare_config.h"
#include "apps/shared_options.h"
#include "tests/apps/verb_claims.h"
#include "tests/support/expect_error.h"

namespace llm {
namespace {

/// A verb's flags, as the program reads them.
struct GivenVerb {
  Command command;
  Fields fields;
  SharedOptions shared;
  explicit GivenVerb(const std::string& name) : command(verb_command(name)) {
    declare_options(command, fields, shared);
  }
  GivenVerb& flags(const Flags& flags) {
    for (const auto& [name, value] : flags) fields.apply_flag(name, value);
    return *this;
  }
  static Command verb_command(const std::string& name) {
    return name == "generate" ? generate_command()
           : name == "chat"   ? chat_command()
           : name == "api"    ? api_command()
                              : prepare_data_command();
  }
};

struct SharedRows {
  SharedOptions options;
  Fields fields;
  SharedRows() { options.declare_missing(fields); }
};

std::string refusal_of(const VerbClaim& claim, const Flags& others) {
  try {
    GivenVerb(claim.verb).flags(others).flags({{claim.flag, claim.value}}).fields.finish();
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Exit::usage);
    return error.message() + "\n" + error.hint();
  }
}

TEST(VerbRules, AFlagWithoutEffectIsRefusedAndOneWithEffectIsNot) {
  for (const VerbClaim& claim : verb_claims()) {
    GivenVerb shown(claim.verb);
    shown.fields.apply_flag(claim.flag, claim.value);
    EXPECT_EQ(refusal_of(claim, claim.idle),
              fmt::format("--{} ({}) has no effect {}\n{}; leave it out", claim.flag,
                          shown.fields.find_flag(claim.flag)->text(), claim.why, claim.hint));
    if (claim.heard) {
      EXPECT_EQ(refusal_of(claim, *claim.heard), "") << claim.verb << " --" << claim.flag;
    }
  }
}

TEST(VerbRules, EveryKeyIsAlwaysHeardOrHasARule) {
  const SharedRows of_every_verb;
  for (const char* verb : {"generate", "chat", "api", "prepare-data"}) {
    const GivenVerb given(verb);
    std::set<std::string> ruled;
    for (const VerbClaim& claim : verb_claims()) {
      if (claim.verb == verb) ruled.insert(given.fields.find_flag(claim.flag)->path());
    }
    std::set<std::string> heard = always_heard(verb);
    for (const Field& row : of_every_verb.fields.rows()) heard.insert(row.path());
    for (const Field& row : given.fields.rows()) {
      const std::string& key = row.path();
      if (key.starts_with("inference.")) continue;  // lib/serving/inference_config.h has its rules
      EXPECT_NE(heard.contains(key), ruled.contains(key)) << verb << ": " << key;
    }
    for (const std::string& key : heard) EXPECT_NE(given.fields.find(key), nullptr) << key;
  }
}

template <typename Config>
void expect_claimed(const std::string& verb, const std::vector<KeyRule<Config>>& rules) {
  const std::vector<VerbClaim> all = verb_claims();
  const GivenVerb given(verb);
  for (const KeyRule<Config>& rule : rules) {
    for (const std::string& key : rule.keys) {
      EXPECT_TRUE(std::any_of(all.begin(), all.end(),
                              [&](const VerbClaim& claim) {
                                return claim.verb == verb && claim.hint == rule.hint &&
                                       given.fields.find_flag(claim.flag)->path() == key;
                              }))
          << verb << ": " << key << ": " << rule.hint;
    }
  }
}

TEST(VerbRules, EveryRuleIsClaimed) {
  expect_claimed("generate", generation_rules());
  expect_claimed("generate", GenerateConfig::rules());
  expect_claimed("prepare-data", PrepareDataConfig::rules());
}

TEST(VerbRules, AFileAsksForNothing) {
  for (const char* verb : {"generate", "chat", "api"}) {
    GivenVerb given(verb);
    given.fields.apply_text(
        "generation: {do_sample: false, top_k: 5, length_penalty: 2, return_text: false}\n",
        "run.yaml");
    EXPECT_NO_THROW(given.fields.finish()) << verb;
  }
  GivenVerb prepare("prepare-data");
  prepare.fields.apply_text("data: {format: text, field: body, val_split: tail}\n", "run.yaml");
  EXPECT_NO_THROW(prepare.flags({{"input", "a.txt"}}).fields.finish());
}

TEST(VerbRules, AFlagOrVariableBesideAFileIsToldWhereTheOtherStands) {
  GivenVerb given("generate");
  given.fields.apply_text("generation: {do_sample: false}\n", "run.yaml");
  given.fields.apply_environment({{"LLM_TOP_K", "5"}});
  expect_error([&] { given.fields.finish(); }, Exit::usage,
               "--top-k (5) has no effect with --do-sample false of run.yaml:1:14",
               "--do-sample true draws; leave it out");
}

TEST(VerbRules, AVariableSaysNoMoreThanItsRank) {
  GivenVerb given("generate");
  given.fields.apply_environment({{"LLM_TEMPERATURE", "0.7"}});
  EXPECT_NO_THROW(given.flags({{"do-sample", "false"}}).fields.finish());
}

TEST(VerbRules, DefaultsOfRequestsAreKept) {
  GivenVerb given("api");
  given.flags({{"top-k", "5"}, {"do-sample", "false"}, {"length-penalty", "2"}});
  EXPECT_NO_THROW(given.fields.finish());
}

/// The settings of generate with these flags, and with a model that has settings of its own.
struct WithModel {
  GenerateConfig config;
  Fields fields;
  explicit WithModel(const Flags& flags) {
    config.fields(fields);
    for (const auto& [name, value] : flags) fields.apply_flag(name, value);
    fields.finish();
  }
  std::string said(const std::function<void(GenerationConfig&)>& of_model) {
    GenerationConfig settled = config.generation;
    of_model(settled);
    testing::internal::CaptureStderr();
    try {
      refuse_idle_settings(fields, config.generation, settled);
    } catch (const Error& error) {
      testing::internal::GetCapturedStderr();
      return error.message() + "\n" + error.hint();
    }
    return testing::internal::GetCapturedStderr();
  }
};

TEST(VerbRules, WhatAModelMayDecideIsJudgedWithIt) {
  const auto nothing = [](GenerationConfig&) {};
  const auto beams = [](GenerationConfig& c) { c.num_beams = 4; };
  const auto greedy = [](GenerationConfig& c) { c.do_sample = false; };
  EXPECT_EQ(WithModel(Flags{{"length-penalty", "2"}}).said(nothing),
            "--length-penalty (2.0) has no effect with --num-beams 1\n"
            "--num-beams above 1 reads it; leave it out");
  EXPECT_EQ(WithModel(Flags{{"length-penalty", "2"}}).said(beams), "");
  EXPECT_EQ(WithModel(Flags{{"top-k", "5"}}).said(nothing), "");
  EXPECT_EQ(WithModel(Flags{{"top-k", "5"}, {"do-sample", "true"}}).said(nothing), "");
  const std::string warning = WithModel(Flags{{"top-k", "5"}, {"min-p", "0.1"}}).said(greedy);
  for (const char* key : {"--top-k (5)", "--min-p (0.1)"}) {
    EXPECT_NE(
        warning.find(std::string(key) + " has no effect with --do-sample false of the model's "
                                        "generation_config.json: --do-sample true draws"),
        std::string::npos)
        << warning;
  }
  EXPECT_EQ(WithModel(Flags{}).said(greedy), "");
}

}  // namespace
}  // namespace llm
