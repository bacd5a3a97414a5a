#include "model/kernels/simd_avx512.h"

#include "model/kernels/lora_rows_body.h"
