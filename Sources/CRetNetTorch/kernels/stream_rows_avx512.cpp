// Kernels of stream_rows.h for avx512.
#include "stream_rows.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
namespace ctorch::avx512 {
#include "rows.inc"
#include "stream_rows.inc"
} // namespace ctorch::avx512
#pragma clang attribute pop
#endif
