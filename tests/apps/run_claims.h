// What run_rules.cpp is held to: for each key, beside which values it has no effect, and beside
// which it has one. The files named here lie in the work folder of the test.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace llm {

using Flags = std::vector<std::pair<std::string, std::string>>;

/// `key` at `value` says nothing beside `idle`, and does beside `heard`.
struct Claim {
  std::string key, value;
  Flags idle;
  std::string why, hint;
  Flags heard;
};

inline const char* const kOwnTokenizer = "it is for training a tokenizer on the run's text";
inline const char* const kModelsTokenizer = "the model's own tokenizer is taken";
inline const char* const kSgdReads = "sgd reads it";
inline const char* const kMuonReads = "muon reads it";
inline const char* const kAdafactorReads = "adafactor reads it";
inline const char* const kMlmReads = "mlm reads it";
inline const char* const kPrecisionDecides = "the precision decides";
inline const char* const kAboutPlainText = "it is about plain text";
inline const char* const kAboutRows = "it is about rows of JSON";
inline const char* const kNoConversation = "the text of one field is no conversation";
inline const char* const kGiveToPrepareData = "give it to prepare-data";
inline const char* const kStoriesKept =
    "--val-fraction says how many stories are kept for validation";
inline const char* const kNothingSplitOff = "nothing is split off the training data";
inline const char* const kNoOffset = "rows of whole documents have no offset";
inline const char* const kOptimizers[] = {"adamw", "lion", "sgd", "adafactor", "muon"};
inline const char* const kSchedules[] = {"cosine", "linear", "polynomial", "constant", "wsd"};

inline std::vector<Claim> model_claims() {
  std::vector<Claim> claims;
  for (const char* type : {"linear", "ntk", "yarn", "llama3"}) {
    claims.push_back({"model.rope_scaling.rope_type",
                      type,
                      {},
                      "with model.rope_scaling.factor 1.0",
                      "a factor above 1 is how many times longer the context becomes",
                      {{"model.rope_scaling.factor", "2"}}});
  }
  return claims;
}

inline std::vector<Claim> optimizer_claims() {
  struct Reader {
    const char *key, *value, *hint;
    std::set<std::string> readers;
  };
  const std::vector<Reader> table = {
      {"betas", "0.8,0.9", "adamw, lion and muon read it", {"adamw", "lion", "muon"}},
      {"epsilon", "0.001", "adamw and muon read it", {"adamw", "muon"}},
      {"momentum", "0.5", kSgdReads, {"sgd"}},
      {"nesterov", "true", kSgdReads, {"sgd"}},
      {"muon_momentum", "0.5", kMuonReads, {"muon"}},
      {"muon_iterations", "3", kMuonReads, {"muon"}},
      {"adafactor_decay_rate", "0.5", kAdafactorReads, {"adafactor"}},
      {"adafactor_clip_threshold", "2", kAdafactorReads, {"adafactor"}},
  };
  std::vector<Claim> claims;
  for (const Reader& row : table) {
    for (const std::string name : kOptimizers) {
      if (!row.readers.contains(name)) {
        claims.push_back({"optimizer." + std::string(row.key),
                          row.value,
                          {{"optimizer.name", name}},
                          "with optimizer.name " + name,
                          row.hint,
                          {{"optimizer.name", *row.readers.begin()}}});
      }
    }
  }
  claims.push_back({"optimizer.nesterov",
                    "true",
                    {{"optimizer-name", "sgd"}, {"optimizer.momentum", "0"}},
                    "with optimizer.momentum 0.0",
                    "it is a form of momentum",
                    {{"optimizer-name", "sgd"}}});
  claims.push_back({"optimizer.decay_embeddings",
                    "false",
                    {{"weight-decay", "0"}},
                    "with optimizer.weight_decay 0.0",
                    "it chooses what --weight-decay above 0 applies to",
                    {}});
  return claims;
}

inline std::vector<Claim> schedule_claims() {
  std::vector<Claim> claims = {
      {"scheduler.min_lr_ratio",
       "0.5",
       {{"lr-scheduler", "constant"}},
       "with scheduler.name constant",
       "every other schedule reads it",
       {{"lr-scheduler", "wsd"}}},
      {"scheduler.min_lr_ratio",
       "0.5",
       {{"lr-scheduler", "wsd"}, {"scheduler.decay_fraction", "0"}},
       "with scheduler.decay_fraction 0.0",
       "the learning rate falls to it where --scheduler.decay_fraction is above 0",
       {}}};
  for (const std::string name : kSchedules) {
    if (name != "polynomial") {
      claims.push_back({"scheduler.power",
                        "3",
                        {{"lr-scheduler", name}},
                        "with scheduler.name " + name,
                        "polynomial reads it",
                        {{"lr-scheduler", "polynomial"}}});
    }
    if (name != "wsd") {
      claims.push_back({"scheduler.decay_fraction",
                        "0.5",
                        {{"lr-scheduler", name}},
                        "with scheduler.name " + name,
                        "wsd reads it",
                        {{"lr-scheduler", "wsd"}}});
    }
  }
  return claims;
}

inline std::vector<Claim> training_claims() {
  const std::string blind = "without validation data",
                    see = "--validation-path, or --val-fraction above 0 for texts";
  std::vector<Claim> claims = {
      {"training.epochs",
       "2",
       {{"max-steps", "5"}},
       "with training.max_steps 5",
       "--max-steps auto lets the epochs decide",
       {}},
      {"training.mlm_probability",
       "0.3",
       {},
       "with training.objective clm",
       kMlmReads,
       {{"objective", "mlm"}}},
      {"training.mlm_probability",
       "0.3",
       {{"objective", "diffusion"}},
       "with training.objective diffusion",
       kMlmReads,
       {{"objective", "mlm"}}},
      {"training.noise_schedule",
       "sqrt",
       {},
       "with training.objective clm",
       "diffusion reads it",
       {{"objective", "diffusion"}}},
      {"training.early_stopping_patience",
       "2",
       {{"eval-steps", "0"}},
       "with training.eval_steps 0",
       "--eval-steps above 0 validates during the run",
       {}},
      {"training.early_stopping_threshold",
       "0.1",
       {},
       "with training.early_stopping_patience 0",
       "--early-stopping-patience above 0 reads it",
       {{"early-stopping-patience", "1"}}},
      {"checkpoint.resize_embeddings",
       "true",
       {},
       "without checkpoint.model_path",
       "a model from scratch has as many embedding rows as its tokenizer has pieces",
       {{"model-path", "m"}}},
      {"checkpoint.force",
       "true",
       {},
       "with checkpoint.resume_from_checkpoint auto",
       "--resume-from-checkpoint never starts over",
       {{"resume-from-checkpoint", "never"}}},
      {"dtype",
       "float16",
       {{"precision", "32-true"}},
       "with training.precision 32-true",
       kPrecisionDecides,
       {{"precision", "16-mixed"}}},
      {"dtype",
       "float32",
       {{"precision", "bf16-mixed"}},
       "with training.precision bf16-mixed",
       kPrecisionDecides,
       {{"precision", "32-true"}}},
      {"dtype",
       "float32",
       {{"precision", "bf16-true"}},
       "with training.precision bf16-true",
       kPrecisionDecides,
       {}},
      {"dtype",
       "bfloat16",
       {{"precision", "16-mixed"}},
       "with training.precision 16-mixed",
       kPrecisionDecides,
       {{"precision", "bf16-true"}}},
  };
  for (const char* rows : {"documents", "packed"}) {
    claims.push_back({"training.eval_length_factor",
                      "2",
                      {{"rows", rows}},
                      "with training.rows " + std::string(rows),
                      "rows of whole documents are as long as those are",
                      {}});
  }
  for (const char* key :
       {"eval_steps", "eval_batches", "eval_length_factor", "early_stopping_patience"}) {
    for (const Flags& idle : {Flags{{"val-fraction", "0"}}, Flags{{"data-path", "bare"}},
                              Flags{{"data-path", "a.txt"}, {"val-fraction", "0"}}}) {
      claims.push_back(
          {"training." + std::string(key), "2", idle, blind, see, {{"data-path", "both-train"}}});
    }
  }
  for (const char* key : {"reset_optimizer", "allow_data_change"}) {
    claims.push_back({"checkpoint." + std::string(key),
                      "true",
                      {{"resume-from-checkpoint", "never"}},
                      "with checkpoint.resume_from_checkpoint never",
                      "it is about going on with a run",
                      {}});
  }
  return claims;
}

inline std::vector<Claim> tokenizer_claims() {
  std::vector<Claim> claims;
  for (const auto& [key, value] : Flags{{"vocab_size", "300"},
                                        {"model_type", "char"},
                                        {"byte_fallback", "false"},
                                        {"character_coverage", "1"},
                                        {"max_sentences", "9"}}) {
    claims.push_back({"tokenizer." + key,
                      value,
                      {{"tokenizer-path", "t.model"}},
                      "with tokenizer.path t.model",
                      kOwnTokenizer,
                      {}});
    claims.push_back({"tokenizer." + key,
                      value,
                      {{"model-path", "m"}},
                      "with checkpoint.model_path m",
                      kModelsTokenizer,
                      {}});
    if (key != "vocab_size" && key != "model_type") {
      claims.push_back({"tokenizer." + key,
                        value,
                        {{"model-type", "byte-bpe"}},
                        "with tokenizer.model_type byte-bpe",
                        "byte-bpe has every byte and reads all of the text",
                        {{"model-type", "unigram"}}});
    }
  }
  return claims;
}

inline std::vector<Claim> text_claims() {
  const Flags text = {{"data-path", "a.txt"}};
  const std::string names = "it is about the files that --data-path names";
  std::vector<Claim> claims;
  for (const auto& [key, value] : Flags{{"format", "jsonl"},
                                        {"split", "document"},
                                        {"field", "body"},
                                        {"skip_bad", "true"},
                                        {"allow_invalid_utf8", "true"},
                                        {"chat_template", "t.jinja"},
                                        {"train_on_prompt", "false"},
                                        {"add_bos", "true"}}) {
    if (key != "add_bos") {
      claims.push_back({"data." + key, value, {}, "with the built-in stories", names, text});
    }
    for (const Flags& idle : {Flags{{"data-path", "bare"}},
                              Flags{{"data-path", "bare"}, {"validation-path", "both-val"}}}) {
      claims.push_back({"data." + key,
                        value,
                        idle,
                        "with a prepared dataset",
                        kGiveToPrepareData,
                        {{"data-path", "bare"}, {"validation-path", "a.txt"}}});
    }
  }
  for (const auto& [key, value] : Flags{{"split", "document"}, {"allow_invalid_utf8", "true"}}) {
    for (const std::string format : {"jsonl", "alpaca", "sharegpt", "messages", "lmsys"}) {
      claims.push_back({"data." + key,
                        value,
                        {{"data-path", "a.txt"}, {"format", format}},
                        "with rows of JSON",
                        kAboutPlainText,
                        {{"data-path", "a.txt"}, {"format", "text"}}});
    }
    claims.push_back({"data." + key,
                      value,
                      {{"use-lmsys-dataset", "true"}},
                      "with rows of JSON",
                      kAboutPlainText,
                      text});
  }
  for (const auto& [key, value] : Flags{{"field", "body"},
                                        {"skip_bad", "true"},
                                        {"chat_template", "t.jinja"},
                                        {"train_on_prompt", "false"}}) {
    claims.push_back({"data." + key,
                      value,
                      {{"data-path", "a.txt"}, {"format", "text"}},
                      "with data.format text",
                      kAboutRows,
                      {{"data-path", "a.txt"}, {"format", "jsonl"}}});
  }
  for (const auto& [key, value] :
       Flags{{"chat_template", "t.jinja"}, {"train_on_prompt", "false"}}) {
    claims.push_back({"data." + key,
                      value,
                      {{"data-path", "a.txt"}, {"field", "body"}},
                      "with data.field body",
                      kNoConversation,
                      text});
  }
  claims.push_back({"data.format",
                    "alpaca",
                    {{"use-lmsys-dataset", "true"}},
                    "with data.use_lmsys_dataset true",
                    "the rows are those of LMSYS-Chat-1M",
                    text});
  return claims;
}

inline std::vector<Claim> data_claims() {
  const Flags text = {{"data-path", "a.txt"}};
  const std::string stories =
      "the built-in stories read it, which a run without --data-path learns";
  std::vector<Claim> claims = {
      {"data.validation_path", "a.txt", {}, "with the built-in stories", kStoriesKept, text},
      {"data.val_split", "tail", {}, "with the built-in stories", kStoriesKept, text},
      {"data.val_fraction",
       "0.2",
       {{"data-path", "a.txt"}, {"validation-path", "a.txt"}},
       "with data.validation_path a.txt",
       kNothingSplitOff,
       text},
      {"data.val_split",
       "tail",
       {{"data-path", "a.txt"}, {"validation-path", "a.txt"}},
       "with data.validation_path a.txt",
       kNothingSplitOff,
       text},
      {"data.val_fraction",
       "0.2",
       {{"data-path", "bare"}},
       "with a prepared dataset",
       kGiveToPrepareData,
       text},
      {"data.val_split",
       "tail",
       {{"data-path", "bare"}},
       "with a prepared dataset",
       kGiveToPrepareData,
       text},
      {"data.val_split",
       "tail",
       {{"data-path", "a.txt"}, {"val-fraction", "0"}},
       "with data.val_fraction 0.0",
       kNothingSplitOff,
       text},
      {"data.use_lmsys_dataset",
       "true",
       {{"data-path", "bare"}},
       "with a prepared dataset",
       "give --format lmsys to prepare-data",
       text},
      {"data.shift_windows",
       "false",
       {{"rows", "documents"}},
       "with training.rows documents",
       kNoOffset,
       {}},
      {"data.shift_windows",
       "false",
       {{"rows", "packed"}},
       "with training.rows packed",
       kNoOffset,
       {}},
  };
  for (const char* key : {"synthetic_stories", "synthetic_seed"}) {
    claims.push_back({"data." + std::string(key), "7", text, "with data of your own", stories, {}});
    claims.push_back({"data." + std::string(key),
                      "7",
                      {{"use-lmsys-dataset", "true"}},
                      "with data of your own",
                      stories,
                      {}});
  }
  return claims;
}

inline std::vector<Claim> claims() {
  std::vector<Claim> all;
  for (const auto& part : {model_claims(), optimizer_claims(), schedule_claims(), training_claims(),
                           tokenizer_claims(), text_claims(), data_claims()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

}  // namespace llm
