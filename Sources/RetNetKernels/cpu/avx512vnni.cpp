// Kernels for processors with AVX-512 and its dot products of bytes: only products of integers use them, so all other
// kernels are those for AVX-512.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KERNEL_VECTOR_BYTES 64
#define KERNEL_NATIVE_F16 1
#define KERNEL_NATIVE_BF16 0
#define KERNEL_INTEGERS KERNEL_VNNI_INTEGERS
#pragma clang attribute push(__attribute__((target("avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
namespace retnet::avx512vnni {
#include "RetNetKernels/vectors.inc"

#include "decoding.inc"
} // namespace retnet::avx512vnni
#pragma clang attribute pop

const retnet::KernelTable &retnet::avx512vnni::table() {
  static const KernelTable table = [] {
    KernelTable table = avx512::table();
    table.instruction_set = "avx512vnni";
    make_product_kernels(table.decoding);
    return table;
  }();
  return table;
}
#endif
