#include "model/kernels/simd_avx2.h"

#include "model/kernels/rows_body.h"
