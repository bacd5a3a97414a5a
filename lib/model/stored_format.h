// A number format of GGUF or safetensors as packing reads it (model/kernels/stored_rows.h).
#pragma once

#include "gguf/block_formats.h"
#include "model/kernels/stored_rows.h"

namespace llm {

/// The numbers from `data` on as rows of `columns`, a multiple of the format's block;
/// format.readable holds. The bytes are the caller's.
StoredRows rows_in_format(const BlockFormat& format, const std::byte* data, int64_t rows,
                          int64_t columns);

}  // namespace llm
