#include "model/kernels/simd_avx512.h"

#include "model/kernels/packed_rows_body.h"
