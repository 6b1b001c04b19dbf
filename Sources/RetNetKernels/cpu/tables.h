// The table of every instruction set that is compiled in; kernels.cpp chooses.
#pragma once

#include "../include/RetNetKernels/kernels.h"

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
// The table of avx512 with bfloat16 dot products in attention.
namespace avx512bf16 {
const KernelTable &table();
}
#endif

} // namespace retnet
