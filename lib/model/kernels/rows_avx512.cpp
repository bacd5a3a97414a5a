#include "model/kernels/simd_avx512.h"

#include "model/kernels/rows_body.h"
