// Kernels for Arm processors with dot products of bytes: only products of integers use them, so all other kernels are
// those for any processor of the architecture, which has NEON.
#include "tables.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define KERNEL_VECTOR_BYTES 16
#define KERNEL_NATIVE_F16 1
#define KERNEL_NATIVE_BF16 0
#define KERNEL_INTEGERS KERNEL_NEON_INTEGERS
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
namespace retnet::neondot {
#include "RetNetKernels/vectors.inc"

#include "decoding.inc"
} // namespace retnet::neondot
#pragma clang attribute pop

const retnet::KernelTable &retnet::neondot::table() {
  static const KernelTable table = [] {
    KernelTable table = baseline::table();
    table.instruction_set = "neondot";
    make_product_kernels(table.decoding);
    return table;
  }();
  return table;
}
#endif
