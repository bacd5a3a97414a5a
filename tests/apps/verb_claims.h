// What the rules of generate, chat, api and prepare-data are held to: for each flag, beside which
// others it has no effect, and beside which it has one.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/apps/run_claims.h"

namespace llm {

/// `flag` at `value` says nothing beside `idle`, and does beside `heard` (nothing: never).
struct VerbClaim {
  std::string verb, flag, value;
  Flags idle;
  std::string why, hint;
  std::optional<Flags> heard = Flags();
};

inline const char* const kReports[] = {"return-probs", "return-logprobs", "return-input-logprobs",
                                       "top-logprobs"};

/// A value other than the default.
inline std::string report_value(const std::string& flag) {
  return flag == "top-logprobs" ? "2" : "true";
}

inline std::vector<VerbClaim> draw_claims(const std::string& verb) {
  std::vector<VerbClaim> claims;
  for (const auto& [flag, value] :
       Flags{{"temperature", "0.5"}, {"top-k", "5"}, {"top-p", "0.9"}, {"min-p", "0.1"}}) {
    claims.push_back({verb,
                      flag,
                      value,
                      {{"do-sample", "false"}},
                      "with --do-sample false",
                      "--do-sample true draws"});
    claims.push_back({verb,
                      flag,
                      value,
                      {{"num-beams", "4"}},
                      "with --num-beams 4",
                      "beam search draws nothing",
                      Flags{{"num-beams", "1"}}});
    if (flag != "temperature")
      claims.push_back({verb,
                        flag,
                        value,
                        {{"temperature", "0"}},
                        "with --temperature 0.0",
                        "--temperature above 0 draws",
                        Flags{{"temperature", "0.1"}}});
  }
  claims.push_back({verb,
                    "pad-token-id",
                    "3",
                    {{"repetition-penalty", "1"}},
                    "with --repetition-penalty 1.0",
                    "--repetition-penalty other than 1 leaves that token alone",
                    Flags{{"repetition-penalty", "1.1"}}});
  for (const char* flag : kReports) {
    claims.push_back({verb,
                      flag,
                      report_value(flag),
                      {},
                      "without --json",
                      "--json reports it",
                      Flags{{"json", "true"}}});
  }
  return claims;
}

inline std::vector<VerbClaim> generate_claims() {
  std::vector<VerbClaim> claims = draw_claims("generate");
  claims.push_back({"generate",
                    "return-probs",
                    "true",
                    {{"num-beams", "2"}, {"json", "true"}},
                    "with --num-beams 2",
                    "beam search draws nothing",
                    Flags{{"num-beams", "1"}, {"json", "true"}}});
  claims.push_back({"generate",
                    "num-speculative-tokens",
                    "4",
                    {{"num-beams", "2"}},
                    "with --num-beams 2",
                    "beam search does not guess ahead"});
  for (const auto& [flag, value] : Flags{{"length-penalty", "2"}, {"early-stopping", "true"}}) {
    claims.push_back({"generate",
                      flag,
                      value,
                      {{"num-beams", "1"}},
                      "with --num-beams 1",
                      "--num-beams above 1 reads it",
                      Flags{{"num-beams", "2"}}});
  }
  claims.push_back({"generate",
                    "return-text",
                    "false",
                    {{"stream", "true"}},
                    "with --stream true",
                    "a stream is the text"});
  claims.push_back({"generate",
                    "batch-size",
                    "2",
                    {{"stream", "true"}},
                    "with --stream true",
                    "streams come one after another"});
  return claims;
}

inline std::vector<VerbClaim> chat_claims() {
  std::vector<VerbClaim> claims = draw_claims("chat");
  claims.push_back({"chat",
                    "num-speculative-tokens",
                    "4",
                    {{"num-beams", "2"}},
                    "with --num-beams 2",
                    "beam search does not guess ahead"});
  claims.push_back(
      {"chat", "return-text", "false", {}, "in a chat", "a reply is its text", std::nullopt});
  for (const auto& [flag, value] : Flags{{"length-penalty", "2"}, {"early-stopping", "true"}}) {
    claims.push_back(
        {"chat", flag, value, {}, "in a chat", "a reply is found without beams", std::nullopt});
  }
  return claims;
}

inline std::vector<VerbClaim> api_claims() {
  std::vector<VerbClaim> claims = {{"api",
                                    "num-return-sequences",
                                    "2",
                                    {},
                                    "in a server",
                                    "requests say how many texts they want (n)",
                                    std::nullopt},
                                   {"api",
                                    "return-text",
                                    "false",
                                    {},
                                    "in a server",
                                    "requests say what their answers report (logprobs)",
                                    std::nullopt}};
  for (const char* flag : kReports) {
    claims.push_back({"api",
                      flag,
                      report_value(flag),
                      {},
                      "in a server",
                      "requests say what their answers report (logprobs)",
                      std::nullopt});
  }
  return claims;
}

inline std::vector<VerbClaim> looking_claims() {
  std::vector<VerbClaim> claims = {{"prepare-data",
                                    "tokenizer-path",
                                    "t.model",
                                    {{"info", "d"}},
                                    "with --info d",
                                    "--verify looks at the ids",
                                    Flags{{"verify", "d"}}}};
  for (const auto& [flag, value] : Flags{{"output", "p"},
                                         {"workers", "2"},
                                         {"val-fraction", "0.1"},
                                         {"val-split", "tail"},
                                         {"format", "jsonl"},
                                         {"split", "document"},
                                         {"field", "body"},
                                         {"skip-bad", "true"},
                                         {"allow-invalid-utf8", "true"},
                                         {"add-bos", "true"},
                                         {"chat-template", "t.jinja"},
                                         {"train-on-prompt", "false"}}) {
    const Flags heard = flag == "val-split" ? Flags{{"input", "a"}, {"val-fraction", "0.1"}}
                                            : Flags{{"input", "a"}};
    claims.push_back({"prepare-data",
                      flag,
                      value,
                      {{"info", "d"}},
                      "with --info d",
                      "--info prints what a dataset says of itself",
                      heard});
    claims.push_back({"prepare-data",
                      flag,
                      value,
                      {{"verify", "d"}},
                      "with --verify d",
                      "--verify reads what was written",
                      heard});
  }
  return claims;
}

inline std::vector<VerbClaim> document_claims() {
  std::vector<VerbClaim> claims = {{"prepare-data",
                                    "val-split",
                                    "tail",
                                    {{"input", "a.txt"}},
                                    "with --val-fraction 0.0",
                                    "nothing is kept for validation",
                                    Flags{{"input", "a.txt"}, {"val-fraction", "0.1"}}}};
  for (const auto& [flag, value] : Flags{{"split", "document"}, {"allow-invalid-utf8", "true"}}) {
    for (const Flags& idle :
         {Flags{{"format", "jsonl"}}, Flags{{"format", "lmsys"}, {"input", "a.txt"}},
          Flags{{"input", "a.jsonl"}}, Flags{{"input", "a.json.zst"}}}) {
      claims.push_back({"prepare-data", flag, value, idle, "with rows of JSON", kAboutPlainText,
                        Flags{{"input", "a.csv"}}});
    }
  }
  for (const auto& [flag, value] : Flags{{"field", "body"},
                                         {"skip-bad", "true"},
                                         {"chat-template", "t.jinja"},
                                         {"train-on-prompt", "false"}}) {
    for (const Flags& idle : {Flags{{"format", "text"}, {"input", "a.jsonl"}},
                              Flags{{"input", "a.txt"}}, Flags{{"input", "a.txt.zst"}}}) {
      claims.push_back({"prepare-data", flag, value, idle, "with plain text", kAboutRows,
                        Flags{{"input", "-"}}});
    }
  }
  for (const auto& [flag, value] :
       Flags{{"chat-template", "t.jinja"}, {"train-on-prompt", "false"}}) {
    claims.push_back({"prepare-data",
                      flag,
                      value,
                      {{"input", "a.jsonl"}, {"field", "body"}},
                      "with --field body",
                      kNoConversation,
                      Flags{{"input", "a.jsonl"}}});
  }
  return claims;
}

inline std::vector<VerbClaim> verb_claims() {
  std::vector<VerbClaim> all;
  for (const auto& part :
       {generate_claims(), chat_claims(), api_claims(), looking_claims(), document_claims()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

/// Keys that change something beside every value of the others, or that are refused elsewhere where
/// they do not (--draft-model-path, --base-model-path, the beams of a chat).
inline std::set<std::string> always_heard(const std::string& verb) {
  if (verb == "prepare-data") return {"input", "verify", "info"};
  std::set<std::string> heard;
  heard.insert({"model_path", "tokenizer_path", "base_model_path", "quantize", "draft_model_path",
                "adapter"});
  for (const char* key : {"max_new_tokens", "min_new_tokens", "ignore_eos", "do_sample",
                          "repetition_penalty", "frequency_penalty", "presence_penalty",
                          "num_beams", "eos_token_id", "stop_strings", "max_context_policy"})
    heard.insert("generation." + std::string(key));
  if (verb == "api") {
    heard.insert({"adapter_folder", "served_model_name", "api_key"});
    for (const char* key : {"temperature", "top_k", "top_p", "min_p", "length_penalty",
                            "early_stopping", "num_speculative_tokens", "pad_token_id"})
      heard.insert("generation." + std::string(key));
    for (const char* key :
         {"host",           "port",           "insecure",        "cors_origin",
          "queue_size",     "rate_limit",     "request_timeout", "response_cache",
          "io_threads",     "max_body_bytes", "max_connections", "drain_timeout",
          "stall_timeout",  "max_batch_size", "kv_cache_memory", "kv_cache_layout",
          "kv_cache_dtype", "max_model_len",  "prefix_caching",  "prefill_chunk"})
      heard.insert("serving." + std::string(key));
    return heard;
  }
  heard.insert({"prompt", "json", "generation.num_return_sequences"});
  if (verb == "generate") heard.insert({"prompt_file", "grammar", "json_schema", "stream"});
  if (verb == "chat") heard.insert({"system", "chat_template"});
  return heard;
}

}  // namespace llm
