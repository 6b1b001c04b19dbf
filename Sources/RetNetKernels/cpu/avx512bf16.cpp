// Kernels for processors with AVX-512 and its dot products of bfloat16: only attention uses them, so all other kernels
// are those for AVX-512 with dot products of bytes, which these processors have too.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KERNEL_VECTOR_BYTES 64
#define KERNEL_NATIVE_BF16 1
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
namespace retnet::avx512bf16 {
#include "vectors.inc"

#include "attention_tiles.inc"
} // namespace retnet::avx512bf16
#pragma clang attribute pop

const retnet::KernelTable &retnet::avx512bf16::table() {
  static const KernelTable table = [] {
    KernelTable table = avx512vnni::table();
    table.instruction_set = "avx512bf16";
    table.bfloat16.attention = make_attention_kernels<BF16>();
    return table;
  }();
  return table;
}
#endif
