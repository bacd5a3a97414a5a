#include "model/kernels/simd_avx2.h"

#include "model/kernels/lora_rows_body.h"
