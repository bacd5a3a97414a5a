#include "model/tensor_file.h"

#include <ATen/ATen.h>

#include <fmt/ranges.h>

#include <array>
#include <cstring>
#include <memory>

#include "base/error.h"
#include "base/sealed_file.h"
#include "model/model_io.h"
#include "model/safetensors.h"

namespace llm {
namespace {

struct DtypeName {
  const char* name;
  at::ScalarType type;
};
constexpr std::array<DtypeName, 13> kDtypeNames = {{{"F64", at::kDouble},
                                                    {"F32", at::kFloat},
                                                    {"BF16", at::kBFloat16},
                                                    {"F16", at::kHalf},
                                                    {"F8_E4M3", at::kFloat8_e4m3fn},
                                                    {"F8_E5M2", at::kFloat8_e5m2},
                                                    {"F8_E8M0", at::kFloat8_e8m0fnu},
                                                    {"I64", at::kLong},
                                                    {"I32", at::kInt},
                                                    {"I16", at::kShort},
                                                    {"I8", at::kChar},
                                                    {"U8", at::kByte},
                                                    {"BOOL", at::kBool}}};

}  // namespace

std::optional<at::ScalarType> safetensors_scalar_type(std::string_view dtype) {
  for (const DtypeName& known : kDtypeNames) {
    if (dtype == known.name) {
      return known.type;
    }
  }
  return std::nullopt;
}

std::string safetensors_dtype(at::ScalarType dtype) {
  for (const DtypeName& known : kDtypeNames) {
    if (dtype == known.type) {
      return known.name;
    }
  }
  fail(Exit::internal, fmt::format("safetensors cannot hold {}", c10::toString(dtype)));
}

TensorFile map_tensors(const std::filesystem::path& file, const EncryptionKey& key) {
  const auto mapping =
      std::make_shared<MappedFile>(open_file(file, key, AccessPattern::sequential));
  SafetensorsHeader header = parse_safetensors(mapping->bytes(), file.string());
  TensorFile result;
  result.metadata = std::move(header.metadata);
  for (const SafetensorsEntry& entry : header.tensors) {
    const auto type = safetensors_scalar_type(entry.dtype);
    check_input(type.has_value(), "{}: tensor '{}': dtype '{}' cannot be computed with",
                file.string(), entry.name, entry.dtype);
    const std::byte* data = mapping->data() + header.data_offset + entry.begin;
    const auto options = at::TensorOptions(*type);
    at::Tensor tensor;
    if (entry.begin == entry.end) {
      tensor = at::empty(entry.shape, options);
    } else if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(*type) != 0) {
      // Legal in the format, not in LibTorch: such a tensor is copied.
      tensor = at::empty(entry.shape, options);
      std::memcpy(tensor.mutable_data_ptr(), data, entry.end - entry.begin);
    } else {
      tensor = at::from_blob(
          const_cast<std::byte*>(data), entry.shape, [mapping](void*) {}, options);
    }
    result.tensors.emplace(entry.name, std::move(tensor));
  }
  return result;
}

void save_tensors(const std::filesystem::path& file, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata, const EncryptionKey& key) {
  std::vector<at::Tensor> held;
  std::vector<SafetensorsSource> sources;
  for (const auto& [name, tensor] : tensors) {
    held.push_back(tensor.detach().to(at::kCPU).contiguous());
    const at::Tensor& bytes = held.back();
    sources.push_back({name,
                       safetensors_dtype(bytes.scalar_type()),
                       bytes.sizes().vec(),
                       {static_cast<const std::byte*>(bytes.const_data_ptr()), bytes.nbytes()}});
  }
  write_safetensors(file, sources, metadata, key);
}

}  // namespace llm
