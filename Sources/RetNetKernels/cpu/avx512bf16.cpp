// Kernels for processors with AVX-512 and its dot products of bfloat16: only products of decoding use them,
// so all other kernels are those for AVX-512 with dot products of bytes, which these processors have too.
#include "tables.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define KERNEL_VECTOR_BYTES 64
#define KERNEL_NATIVE_BF16 1
#define KERNEL_NATIVE_F16 1
#define KERNEL_INTEGERS KERNEL_VNNI_INTEGERS
#pragma clang attribute push(__attribute__((target("avx512bf16,avx512vnni,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
namespace retnet::avx512bf16 {
#include "RetNetKernels/vectors.inc"

namespace decoding {
#include "decoding.inc"
}
} // namespace retnet::avx512bf16
#pragma clang attribute pop

const retnet::KernelTable &retnet::avx512bf16::table() {
  static const KernelTable table = [] {
    KernelTable table = avx512vnni::table();
    table.instruction_set = "avx512bf16";
    decoding::make_product_kernels(table.decoding);
    return table;
  }();
  return table;
}
#endif
