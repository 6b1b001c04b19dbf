// Kernels of streams.h for avx512.
#include "streams.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
namespace ctorch::avx512 {
#include "rows.inc"
#include "streams.inc"
StreamKernels<float> stream_float_table() { return make_stream_table<float>(); }
StreamKernels<double> stream_double_table() { return make_stream_table<double>(); }
StreamKernels<BF16> stream_bfloat16_table() { return make_stream_table<BF16>(); }
} // namespace ctorch::avx512
#pragma clang attribute pop
#endif
