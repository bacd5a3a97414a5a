// Weights of a model as named tensors, whatever container holds them: the first half of loading.
//
//   open_weights(path) -> WeightSource, names as the family's safetensors files have them
//     -> ParameterSource (parameter_source.h): our parameters, by the family's map
//     -> Transformer (model_io.h) or, without a second copy, a packed model
//
// GGUF's own names and layouts (permuted rows, norms plus one) are undone by its source: what it
// shows is what the family's safetensors would hold, so that nothing behind it knows the container.
//
// A source holds no copy of the weights: safetensors (one file or shards with an index), PyTorch's
// .bin (restricted unpickler) and GGUF are mapped (encrypted files: opened into memory, which is
// meant below too), and tensor() is a view into the mapping where
// the stored type is one LibTorch computes with and lies aligned. What is stored together is read
// together: a quantised weight and its scales are one entry under the weight's name, and tensor()
// gives the product.
//
//   stored                                         tensor()
//   F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL        as stored (a view)
//   F8_E4M3, F8_E5M2                               as stored: a plain number format
//   X F8 or I8 + X_scale, X_scale_inv              float32 X * scale (per tensor, per row or per
//                                                  block of equal size), as transformers' FP8 and
//                                                  compressed-tensors checkpoints
//   X I8 + SCB (+ weight_format) of bitsandbytes   float32 X * SCB / 127 per row
//   X_blocks + X_scales U8 (MXFP4)                 bfloat16 X, 32 values of e2m1 per e8m0 scale
//   GGUF blocks (Q8_0, Q4_K, ...)                  float32
//
// Errors are Error(bad_input) and name the file and the tensor. Const and thread-safe after
// opening.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/encryption_key.h"
#include "gguf/block_formats.h"
#include "model/kernels/stored_rows.h"

namespace at {
class Tensor;
}

namespace llm {

/// One stored tensor. `shape` is what tensor() has: outermost dimension first, rows before columns
/// (GGUF's order reversed), scales already applied.
struct WeightEntry {
  std::string name;
  std::string dtype;  // as stored: "F32", "BF16", "F8_E4M3", "MXFP4", "Q4_K"
  std::vector<int64_t> shape;
  uint64_t bytes = 0;  // as stored, scales included
};

/// A stored tensor before anything is done to its values.
struct RawTensor {
  /// What has to be undone to get the family's layout.
  enum class Change { none, paired_rows, plus_one };

  const std::byte* data = nullptr;
  uint64_t bytes = 0;                   // from the first to the last element
  std::vector<int64_t> strides = {};    // in elements; empty: contiguous
  const BlockFormat* blocks = nullptr;  // of a GGUF file; null: the entry's dtype, by safetensors
  Change change = Change::none;
  int64_t head_rows = 0;                 // of paired_rows: rows of a head
  std::shared_ptr<const void> keeper;    // of the bytes
  std::function<at::Tensor()> computed;  // in place of all that: several tensors make this one
};

/// "4x2"; a scalar is "1".
std::string shape_text(std::span<const int64_t> shape);

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  /// What messages call it: the file, or the index of the shards.
  virtual std::string place() const = 0;
  /// "safetensors", "PyTorch", "GGUF".
  virtual std::string format() const = 0;
  /// In the order of the file (shards in the order of their names).
  virtual const std::vector<WeightEntry>& entries() const = 0;
  virtual RawTensor raw(const WeightEntry& entry) const = 0;
  /// The values, on the CPU, treat as read-only; the tensor keeps the mapping alive. `entry` is one
  /// of entries(). (In weight_tensors.cpp, the only part that needs LibTorch.)
  at::Tensor tensor(const WeightEntry& entry) const;
  /// The tensor as rows in the mapped file (a vector as one row), where it lies there so: floats
  /// and GGUF's blocks.
  std::optional<StoredRows> rows(const WeightEntry& entry) const;
  /// The caller is done with this tensor's pages for now: they need not stay in memory. Views stay
  /// valid (a later access reads the file again).
  virtual void release(const WeightEntry&) const {}
  /// Text that travels beside the tensors: safetensors' __metadata__, GGUF's general.* strings.
  virtual std::map<std::string, std::string> metadata() const { return {}; }

  const WeightEntry* find(std::string_view name) const;
  /// tensor(*find(name)); throws Error(bad_input) "<place>: tensor '<name>' is missing".
  at::Tensor tensor(std::string_view name) const;

 private:
  mutable std::map<std::string, size_t, std::less<>> index_;  // made by the first find()
  mutable std::once_flag indexed_;
};

/// Opens what `path` names: a .safetensors, .bin or .gguf file, an index of shards, or a model
/// directory, in which model.safetensors comes before its shards, then pytorch_model.bin, then its
/// shards. Throws Error(bad_input) where there is none. `key` opens what is encrypted
/// (sealed_file.h) and is not looked at otherwise.
std::unique_ptr<WeightSource> open_weights(const std::filesystem::path& path,
                                           const EncryptionKey& key = {});

/// The same without joining quantised weights with their scales, which takes LibTorch.
std::unique_ptr<WeightSource> open_stored_weights(const std::filesystem::path& path,
                                                  const EncryptionKey& key = {});

/// The lists of one message: "missing 3 tensors (a, b, ...); 1 not used (foo); 1 of the wrong shape
/// (bar is 4x2, the model needs 4x3)". At most three names each.
struct WeightMismatch {
  std::vector<std::string> missing, unused, misshapen;
  bool none() const { return missing.empty() && unused.empty() && misshapen.empty(); }
  std::string text() const;
  /// Throws Error(bad_input) "<place>: <text>" unless none().
  void require_none(const std::string& place) const;
};

}  // namespace llm
