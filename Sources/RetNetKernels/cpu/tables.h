// The table of every instruction set that is compiled in; kernels.cpp chooses.
#pragma once

#include "RetNetKernels/kernels.h"

// How products of integers are formed.
#define KERNEL_PLAIN_INTEGERS 0 // left to the compiler
#define KERNEL_AVX2_INTEGERS 1  // pairs of bytes to 16 bits
#define KERNEL_VNNI_INTEGERS 2  // four bytes to 32 bits, in 64 bytes
#define KERNEL_NEON_INTEGERS 3  // four bytes to 32 bits, in 16 bytes

namespace retnet {

// Any processor of the architecture: vectors of 16 bytes.
namespace baseline {
const KernelTable &table();
}
#if defined(__x86_64__)
namespace avx2 {
const KernelTable &table();
}
namespace avx512 {
const KernelTable &table();
}
// The table of avx512 with dot products of bytes in products of integers.
namespace avx512vnni {
const KernelTable &table();
}
// The table of avx512vnni with bfloat16 dot products in attention.
namespace avx512bf16 {
const KernelTable &table();
}
#endif
#if defined(__aarch64__)
// The table of baseline, which is NEON, with dot products of bytes in products of integers.
namespace neondot {
const KernelTable &table();
}
#endif

} // namespace retnet
