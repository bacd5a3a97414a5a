#include "model/kernels/simd_avx2.h"

#include "model/kernels/attention_tiles_body.h"
