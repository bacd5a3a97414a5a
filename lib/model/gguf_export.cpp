// Writing a model as GGUF: formats, layouts, checks.
#include "model/gguf_export.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "model/families/families.h"
#include "model/gguf_config.h"

namespace llm {
namespace {

struct Outgoing {
  GgufTensorPlan plan;
  GgufChange change = GgufChange::none;
  const OutgoingTensor* source = nullptr;  // or
  std::vector<float> factors{};
};

// llama.cpp's own numbers for the kind of a file.
uint32_t file_type(const BlockFormat& format) {
  switch (format.type) {
    case GgmlType::f16:
      return 1;
    case GgmlType::q4_0:
      return 2;
    case GgmlType::q8_0:
      return 7;
    case GgmlType::bf16:
      return 32;
    default:
      return 0;
  }
}

const BlockFormat& stored_format(const std::string& name, const std::vector<int64_t>& shape,
                                 const BlockFormat& wanted, bool tied) {
  if (shape.size() < 2) {
    return block_format(GgmlType::f32);
  }
  const bool head = name == "output.weight" || (tied && name == "token_embd.weight");
  const BlockFormat& format =
      head && wanted.type == GgmlType::q4_0 ? block_format(GgmlType::q8_0) : wanted;
  return shape.back() % format.values == 0 ? format : block_format(GgmlType::f16);
}

// A window that llama.cpp's code for the architecture does not look at (phi3's is switched off
// there).
ModelConfig without_window(const ModelConfig& config, const GgufArchitecture& architecture,
                           const std::string& path) {
  const std::string_view name = architecture.name;
  if (!config.sliding_window || name == "gemma2" || name == "gemma3") {
    return config;
  }
  ModelConfig result = config;
  result.sliding_window.reset();
  result.layer_types.clear();
  if (*config.sliding_window < config.max_position_embeddings) {
    log_warn(
        "{}: llama.cpp knows no sliding window for {}; context_length becomes {}, within which "
        "the model is the same",
        path, name, *config.sliding_window);
    result.max_position_embeddings = *config.sliding_window;
  }
  return result;
}

// Beside the tokenizer's own, which its keys hold.
void add_further_ends(GgufMetadata& metadata, const ModelConfig& config, const std::string& path) {
  const std::vector<int64_t>& ends = config.further_eos_token_ids;
  constexpr size_t kMost = std::size(kGgufEndKeys) - 1;
  for (size_t i = 0; i < std::min(ends.size(), kMost); ++i) {
    metadata.uint32(kGgufEndKeys[i + 1], static_cast<uint32_t>(ends[i]));
  }
  if (ends.size() > kMost) {
    log_warn("{}: llama.cpp knows {} tokens that end a text; {} more are left out", path, kMost + 1,
             ends.size() - kMost);
  }
}

std::vector<Outgoing> plan_tensors(const std::vector<OutgoingTensor>& tensors,
                                   const GgufArchitecture& architecture, const ModelConfig& config,
                                   const BlockFormat& format) {
  std::vector<Outgoing> plans;
  for (const auto& [name, factors] : gguf_rope_factors(architecture, config)) {
    plans.push_back(
        {.plan = {name, &block_format(GgmlType::f32), {static_cast<int64_t>(factors.size())}},
         .factors = factors});
  }
  for (const OutgoingTensor& tensor : tensors) {
    const auto name = gguf_tensor_name(architecture, tensor.name);
    check_input(name.has_value(), "GGUF ({}) has no place for tensor '{}'", architecture.name,
                tensor.name);
    const BlockFormat& stored =
        stored_format(*name, tensor.shape, format, config.tie_word_embeddings);
    plans.push_back({.plan = {*name, &stored, tensor.shape},
                     .change = gguf_change(architecture, *name),
                     .source = &tensor});
  }
  return plans;
}

void check_numbers(const at::Tensor& values, const Outgoing& tensor, const std::string& path) {
  const int64_t bad = values.numel() - at::isfinite(values).sum().item<int64_t>();
  check_input(bad == 0, "{}: tensor '{}' contains {} value{} that are NaN or infinite", path,
              tensor.source->name, bad, bad == 1 ? "" : "s");
  if (tensor.plan.format->type == GgmlType::f16 && values.numel() > 0) {
    const double largest = values.abs().max().item<double>();
    if (largest >= 65520) {
      fail(Exit::bad_input,
           fmt::format("{}: tensor '{}' contains {:.6g}, more than float16 can hold", path,
                       tensor.source->name, largest),
           "--type bf16 or f32");
    }
  }
}

// float32, contiguous, laid out as the file has it.
at::Tensor outgoing_values(const Outgoing& tensor, int64_t head_dim) {
  at::Tensor values = tensor.source->values().to(at::kCPU).to(at::kFloat);
  if (tensor.change == GgufChange::plus_one) {
    values = values + 1;
  } else if (tensor.change == GgufChange::paired_rows) {
    const int64_t rest = values.numel() / values.size(0);
    values = values.reshape({-1, 2, head_dim / 2, rest}).transpose(1, 2).reshape(values.sizes());
  }
  return values.contiguous();
}

void give_tensor(const Outgoing& tensor, int64_t head_dim, const std::string& path,
                 const GgufSink& sink) {
  if (tensor.source == nullptr) {
    return sink(std::as_bytes(std::span(tensor.factors)));
  }
  const at::Tensor values = outgoing_values(tensor, head_dim);
  check_numbers(values, tensor, path);
  const BlockFormat& format = *tensor.plan.format;
  const float* numbers = values.const_data_ptr<float>();
  const int64_t blocks = values.numel() / format.values;
  constexpr int64_t kPart = int64_t{1} << 24;  // numbers at a time
  const int64_t step = kPart / format.values;
  std::vector<std::byte> bytes;
  for (int64_t done = 0; done < blocks; done += step) {
    const int64_t count = std::min(step, blocks - done);
    bytes.resize(static_cast<size_t>(count) * format.bytes);
    at::parallel_for(0, count, 4096 / format.values + 1, [&](int64_t begin, int64_t end) {
      quantize(format,
               {numbers + (done + begin) * format.values,
                static_cast<size_t>((end - begin) * format.values)},
               std::span(bytes).subspan(static_cast<size_t>(begin) * format.bytes,
                                        static_cast<size_t>(end - begin) * format.bytes));
    });
    sink(bytes);
  }
}

}  // namespace

const BlockFormat& parse_gguf_format(const std::string& name) {
  const BlockFormat* format = find_block_format(name);
  check(format != nullptr && format->writable, "GGUF type '{}' cannot be written; choose one of {}",
        name, writable_formats());
  return *format;
}

void export_gguf(const std::filesystem::path& path, const ModelConfig& wanted,
                 const std::vector<OutgoingTensor>& tensors, const GgufExport& options) {
  at::NoGradGuard no_grad;
  const char* family = family_of(wanted).model_type;
  const GgufArchitecture* architecture = gguf_architecture_of(family);
  check_input(architecture != nullptr,
              "{}: models of the family {} cannot be written as GGUF; {} can", path.string(),
              family, gguf_family_names());
  const ModelConfig config = without_window(wanted, *architecture, path.string());
  const std::vector<Outgoing> plans = plan_tensors(tensors, *architecture, config, *options.format);

  GgufMetadata metadata;
  metadata.text("general.architecture", architecture->name);
  metadata.text("general.type", "model");
  if (!options.name.empty()) {
    metadata.text("general.name", options.name);
  }
  metadata.uint32("general.file_type", file_type(*options.format));
  metadata.uint32("general.quantization_version", 2);
  add_gguf_model_keys(metadata, *architecture, config);
  metadata.append(options.tokenizer);
  if (options.tokenizer.size() > 0) {
    add_further_ends(metadata, config, path.string());
  } else {
    metadata.text("tokenizer.ggml.model", "none");  // llama.cpp loads no file without this key
  }

  GgufHead head;
  std::vector<GgufTensorPlan> layout;
  for (const Outgoing& tensor : plans) {
    layout.push_back(tensor.plan);
    head.shapes.emplace(tensor.plan.name, tensor.plan.shape);
    if (!tensor.factors.empty()) {
      head.factors.emplace(tensor.plan.name, tensor.factors);
    }
  }
  check_gguf_says(config, metadata, head, path.string());
  write_gguf(path, metadata, layout, [&](size_t i, const GgufSink& sink) {
    give_tensor(plans[i], config.head_size(), path.string(), sink);
  });
}

}  // namespace llm
