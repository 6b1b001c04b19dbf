// Kernels of training for processors with AVX-512 and its dot products of bfloat16: only attention and retention use
// them, so all other kernels are those for AVX-512.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KERNEL_VECTOR_BYTES 64
#define KERNEL_NATIVE_BF16 1
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
namespace retnet::avx512bf16 {
#include <RetNetKernels/functions.inc>
#include <RetNetKernels/vectors.inc>

#include "rows.inc"

namespace attention {
#include "attention_tiles.inc"
#include "retention_tiles.inc"
}
} // namespace retnet::avx512bf16
#pragma clang attribute pop

const retnet::TrainingTable &retnet::avx512bf16::training_table() {
  static const TrainingTable table = [] {
    TrainingTable table = avx512::training_table();
    table.bfloat16.attention = attention::make_attention_kernels<BF16>();
    table.bfloat16.retention = attention::make_retention_kernels<BF16>();
    return table;
  }();
  return table;
}
#endif
