// Kernels of training for processors with AVX2, FMA and F16C.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KERNEL_SET avx2
#define KERNEL_VECTOR_BYTES 32
#define KERNEL_NATIVE_BF16 0
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#include "all.inc"
#pragma clang attribute pop

const retnet::TrainingTable &retnet::avx2::training_table() {
  static const TrainingTable table = make_table();
  return table;
}
#endif
