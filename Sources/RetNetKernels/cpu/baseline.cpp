// Kernels for any processor of the architecture.
#include "tables.h"

#define KERNEL_SET baseline
#define KERNEL_VECTOR_BYTES 16
#define KERNEL_NATIVE_BF16 0
#define KERNEL_INTEGERS KERNEL_PLAIN_INTEGERS
#if defined(__aarch64__)
#define KERNEL_NATIVE_F16 1
#else
#define KERNEL_NATIVE_F16 0
#endif
#include "all.inc"

const retnet::KernelTable &retnet::baseline::table() {
  static const KernelTable table = make_table("baseline");
  return table;
}
