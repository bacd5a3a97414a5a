// A GGUF file's tensors under Hugging Face's names.
#include "model/gguf_weights.h"

#include <fmt/format.h>

#include "base/error.h"
#include "model/gguf_config.h"
#include "model/gguf_names.h"

namespace llm {
namespace {

/// Rows `first` to `first + rows` of a tensor of the file; rows 0 = all of it.
struct Part {
  const GgufTensor* tensor = nullptr;
  GgufChange change = GgufChange::none;
  int64_t first = 0, rows = 0;
};

class GgufWeights final : public WeightSource {
 public:
  explicit GgufWeights(std::shared_ptr<const Gguf> file)
      : file_(std::move(file)), architecture_(gguf_architecture(*file_)) {
    head_dim_ = model_head_dim();
    for (const GgufTensor& tensor : file_->tensors()) {
      if (!is_gguf_rope_tensor(tensor.name)) {
        add(tensor);
      }
    }
  }

  std::string place() const override { return file_->name(); }
  std::string format() const override { return "GGUF"; }
  const std::vector<WeightEntry>& entries() const override { return entries_; }
  RawTensor raw(const WeightEntry& entry) const override;
  void release(const WeightEntry& entry) const override;
  std::map<std::string, std::string> metadata() const override;

 private:
  int64_t model_head_dim() const;
  void add(const GgufTensor& tensor);
  void add_part(std::string name, const Part& part);
  bool add_joint_qkv(const GgufTensor& tensor);
  std::span<const std::byte> bytes_of(const Part& part) const;
  void check_readable(const GgufTensor& tensor) const;
  void check_heads(const Part& part) const;

  std::shared_ptr<const Gguf> file_;
  const GgufArchitecture& architecture_;
  int64_t head_dim_ = 0;
  std::vector<WeightEntry> entries_;
  std::vector<Part> parts_;  // of entries_
};

int64_t GgufWeights::model_head_dim() const {
  constexpr int64_t kMost = int64_t{1} << 31;
  const std::string prefix = std::string(architecture_.name) + ".";
  const int64_t heads = file_->integer(prefix + "attention.head_count", 1, kMost);
  const int64_t hidden = file_->integer(prefix + "embedding_length", 1, kMost);
  return file_->integer_or(prefix + "attention.key_length", 1, kMost, hidden / heads);
}

void GgufWeights::add_part(std::string name, const Part& part) {
  WeightEntry entry;
  entry.name = std::move(name);
  entry.dtype = part.tensor->format->name;
  entry.shape = part.tensor->shape;
  entry.bytes = part.tensor->bytes.size();
  if (part.rows > 0) {
    entry.bytes =
        entry.bytes / static_cast<uint64_t>(entry.shape[0]) * static_cast<uint64_t>(part.rows);
    entry.shape[0] = part.rows;
  }
  entries_.push_back(std::move(entry));
  parts_.push_back(part);
}

// Newer files may hold q, k and v of any architecture as one matrix.
bool GgufWeights::add_joint_qkv(const GgufTensor& tensor) {
  const size_t at = tensor.name.find(".attn_qkv.");
  if (at == std::string_view::npos || tensor.shape.empty()) {
    return false;
  }
  const std::string layer(tensor.name.substr(0, at));
  const std::string ending(tensor.name.substr(at + std::string_view(".attn_qkv").size()));
  const std::string prefix = std::string(architecture_.name) + ".attention.";
  constexpr int64_t kMost = int64_t{1} << 31;
  const int64_t heads = file_->integer(prefix + "head_count", 1, kMost);
  const int64_t shared = file_->integer_or(prefix + "head_count_kv", 1, kMost, heads);
  if (tensor.shape[0] != (heads + 2 * shared) * head_dim_) {
    file_->refuse(fmt::format("tensor '{}' has {} rows, not those of {} + 2 x {} heads of {}",
                              tensor.name, tensor.shape[0], heads, shared, head_dim_));
  }
  int64_t first = 0;
  for (const auto& [name, count] :
       {std::pair(".attn_q", heads), std::pair(".attn_k", shared), std::pair(".attn_v", shared)}) {
    const std::string gguf_name = layer + name + ending;
    const auto hf_name = hf_tensor_name(architecture_, gguf_name);
    if (!hf_name) {
      return false;
    }
    const int64_t rows = count * head_dim_;
    add_part(*hf_name, {&tensor, gguf_change(architecture_, gguf_name), first, rows});
    first += rows;
  }
  return true;
}

void GgufWeights::add(const GgufTensor& tensor) {
  const auto name = hf_tensor_name(architecture_, tensor.name);
  if (!name && add_joint_qkv(tensor)) {
    return;
  }
  add_part(name.value_or(std::string(tensor.name)),
           {&tensor, gguf_change(architecture_, tensor.name)});
}

std::span<const std::byte> GgufWeights::bytes_of(const Part& part) const {
  const std::span<const std::byte> bytes = part.tensor->bytes;
  if (part.rows == 0) return bytes;
  const uint64_t row = bytes.size() / static_cast<uint64_t>(part.tensor->shape[0]);
  return bytes.subspan(static_cast<uint64_t>(part.first) * row,
                       static_cast<uint64_t>(part.rows) * row);
}

void GgufWeights::check_readable(const GgufTensor& tensor) const {
  if (!tensor.format->readable) {
    file_->refuse(fmt::format("tensor '{}' is stored as {}; read are {}", tensor.name,
                              tensor.format->name, readable_formats()));
  }
}

// Rows that lie pair by pair are those of whole heads.
void GgufWeights::check_heads(const Part& part) const {
  const std::vector<int64_t>& shape = part.tensor->shape;
  const int64_t rows = shape.empty() ? 1 : part.rows > 0 ? part.rows : shape[0];
  if (shape.empty() || rows % head_dim_ != 0 || head_dim_ % 2 != 0) {
    file_->refuse(fmt::format("tensor '{}' has {} rows, not whole heads of {}", part.tensor->name,
                              rows, head_dim_));
  }
}

RawTensor GgufWeights::raw(const WeightEntry& entry) const {
  const Part& part = parts_[static_cast<size_t>(&entry - entries_.data())];
  check_readable(*part.tensor);
  const std::span<const std::byte> bytes = bytes_of(part);
  RawTensor stored;
  stored.data = bytes.data();
  stored.bytes = bytes.size();
  stored.blocks = part.tensor->format;
  stored.keeper = file_;
  if (part.change == GgufChange::plus_one) stored.change = RawTensor::Change::plus_one;
  if (part.change == GgufChange::paired_rows) {
    check_heads(part);
    stored.change = RawTensor::Change::paired_rows;
    stored.head_rows = head_dim_;
  }
  return stored;
}

// A part of a joint matrix lets the whole go: what is still to come is read again.
void GgufWeights::release(const WeightEntry& entry) const {
  file_->release(parts_[static_cast<size_t>(&entry - entries_.data())].tensor->bytes);
}

std::map<std::string, std::string> GgufWeights::metadata() const {
  std::map<std::string, std::string> texts;
  for (const GgufEntry& entry : file_->entries()) {
    if (entry.key.starts_with("general.") && entry.value.type == GgufType::string) {
      texts.emplace(entry.key, file_->text(entry.key));
    }
  }
  return texts;
}

}  // namespace

std::unique_ptr<WeightSource> open_gguf_weights(std::shared_ptr<const Gguf> file) {
  return std::make_unique<GgufWeights>(std::move(file));
}

std::unique_ptr<WeightSource> open_gguf_weights(const std::filesystem::path& file) {
  return open_gguf_weights(Gguf::open(file));
}

}  // namespace llm
