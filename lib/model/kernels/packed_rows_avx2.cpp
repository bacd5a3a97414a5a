#include "model/kernels/simd_avx2.h"

#include "model/kernels/packed_rows_body.h"
