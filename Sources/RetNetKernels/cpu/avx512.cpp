// Kernels for processors with AVX-512 (F, BW, DQ, VL).
#include "tables.h"

#if defined(__x86_64__)
#define KERNEL_SET avx512
#define KERNEL_VECTOR_BYTES 64
#define KERNEL_NATIVE_BF16 0
#define KERNEL_INTEGERS KERNEL_PLAIN_INTEGERS
#define KERNEL_NATIVE_F16 1
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#include "all.inc"
#pragma clang attribute pop

const retnet::KernelTable &retnet::avx512::table() {
  static const KernelTable table = [] {
    KernelTable table = make_table("avx512");
    // Without dot products of bytes, longer vectors only help the products of floats, which wait for memory.
    table.decoding.multiply = avx2::table().decoding.multiply;
    table.decoding.quantize_row = avx2::table().decoding.quantize_row;
    table.decoding.splits_groups = avx2::table().decoding.splits_groups;
    table.decoding.panel_bytes = avx2::table().decoding.panel_bytes;
    return table;
  }();
  return table;
}
#endif
