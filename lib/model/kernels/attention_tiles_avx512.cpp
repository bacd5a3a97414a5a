#include "model/kernels/simd_avx512.h"

#include "model/kernels/attention_tiles_body.h"
