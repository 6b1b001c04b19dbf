// Kernels of stream_rows.h for avx2.
#include "stream_rows.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace ctorch::avx2 {
#include "rows.inc"
#include "stream_rows.inc"
} // namespace ctorch::avx2
#pragma clang attribute pop
#endif
