// A config.json on its way to our keys: what Family::read works on, and the pieces that most
// families write alike.
//
// Reading renames and takes keys until only ours are left; ModelConfig::fields() then reads them
// strictly, so that a key nobody knows is refused by name. A key that is null is absent, and keeps
// the family's default from being filled in.
// Errors are Error(bad_input) and name the file and the family. No LibTorch here.
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/model_config.h"

namespace llm {

using HfJson = nlohmann::ordered_json;

class HfKeys {
 public:
  HfKeys(nlohmann::json object, std::string source, std::string family);

  bool has(const char* key) const { return object_.contains(key); }
  const nlohmann::json& at(const char* key) const { return object_.at(key); }
  /// Throws "config.json: n_embd is missing" for the first that is.
  void require(std::initializer_list<const char*> keys) const;

  template <typename T>
  void set(const char* key, T&& value) {
    object_[key] = std::forward<T>(value);
  }
  /// Where the file says nothing.
  template <typename T>
  void set_default(const char* key, T&& value) {
    if (!has(key) && !nulls_.contains(key)) {
      object_[key] = std::forward<T>(value);
    }
  }
  void set_defaults(std::initializer_list<std::pair<const char*, nlohmann::json>> defaults);
  void rename(const char* theirs, const char* ours);
  void rename(std::initializer_list<std::pair<const char*, const char*>> keys);
  void forget(std::initializer_list<const char*> keys);
  /// Forgets the key; throws if it says anything but `value`.
  void only(const char* key, const nlohmann::json& value);
  /// Removes and returns; throws if it has another type than asked for.
  bool take_flag(const char* key, bool fallback);
  int64_t take_integer(const char* key, int64_t fallback);
  double take_number(const char* key, double fallback);
  std::string take_text(const char* key, const std::string& fallback);
  nlohmann::json take(const char* key);
  int64_t integer(const char* key) const;  // stays
  [[noreturn]] void refuse(const std::string& problem) const;

  // ---- steps that several families share ----
  /// rope_parameters, rope_scaling and rope_theta in any spelling -> rope_theta, rope_scaling.
  void read_rope(double default_theta = 10000.0);
  /// The same for families that rotate a share of each head: key partial_rotary_factor (or `name`).
  void read_partial_rope(double default_share, const char* name = "partial_rotary_factor");
  /// hidden_act (or `key`) -> ffn_type.
  void read_activation(const char* key, bool gated, const char* fallback);
  /// sliding_window where some layers have one; `sliding(i)` tells which, where layer_types does
  /// not.
  void read_layer_types(bool (*sliding)(int64_t layer, int64_t pattern), int64_t pattern);
  /// The loss of the router counts only where output_router_logits is on.
  void read_router();
  /// Dropout of embeddings and of sublayer outputs must agree: we have one.
  void read_dropout(const char* residual, const char* embedding);

  /// Token ids as ours; what is left.
  const nlohmann::json& finish();

 private:
  void set_rotary_share(double share);
  nlohmann::json object_;
  std::set<std::string, std::less<>> nulls_;
  std::string source_, family_;
};

// ---- writing ----
/// The keys of the Llama kind, rope aside: sizes, heads, activation, eps, ids.
void write_llama_keys(HfJson& json, const ModelConfig& config);
/// Sizes, norms and ids that every family has, in Hugging Face's usual names.
void write_common_keys(HfJson& json, const ModelConfig& config);
void write_ids(HfJson& json, const ModelConfig& config);
void write_router(HfJson& json, const ModelConfig& config);
/// sliding_window and layer_types ("full_attention" for all where there is no window).
void write_layer_types(HfJson& json, const ModelConfig& config);
/// rope_theta and rope_scaling of older versions beside rope_parameters of newer ones. With
/// `partial`, the rotated share of a head in both.
void write_rope(HfJson& json, const ModelConfig& config, bool partial = false);
nlohmann::ordered_json rope_json(const RopeScalingConfig& scaling);
/// Hugging Face's name of the activation inside: "silu", "gelu", "gelu_pytorch_tanh", "relu".
std::string activation_name(const ModelConfig& config);
double rotary_share(const ModelConfig& config);

}  // namespace llm
