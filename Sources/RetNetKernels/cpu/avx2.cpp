// Kernels for processors with AVX2, FMA and F16C.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KERNEL_SET avx2
#define KERNEL_VECTOR_BYTES 32
#define KERNEL_NATIVE_BF16 0
#define KERNEL_INTEGERS KERNEL_AVX2_INTEGERS
#define KERNEL_NATIVE_F16 1
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "all.inc"
#pragma clang attribute pop

const retnet::KernelTable &retnet::avx2::table() {
  static const KernelTable table = make_table("avx2");
  return table;
}
#endif
