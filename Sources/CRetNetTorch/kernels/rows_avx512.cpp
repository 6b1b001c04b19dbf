// Row kernels for avx512.
#include "rows.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
namespace ctorch::avx512 {
#include "rows.inc"
RowKernels<float> float_table() { return make_table<float>(); }
RowKernels<double> double_table() { return make_table<double>(); }
RowKernels<BF16> bfloat16_table() { return make_table<BF16>(); }
} // namespace ctorch::avx512
#pragma clang attribute pop
#endif
