// Kernels of training for processors with AVX-512 (F, BW, DQ, VL).
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KERNEL_SET avx512
#define KERNEL_VECTOR_BYTES 64
#define KERNEL_NATIVE_BF16 0
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "all.inc"
#pragma clang attribute pop

const retnet::TrainingTable &retnet::avx512::training_table() {
  static const TrainingTable table = make_table();
  return table;
}
#endif
