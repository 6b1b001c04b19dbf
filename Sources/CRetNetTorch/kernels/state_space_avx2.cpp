// Kernels of state_space.h for avx2.
#include "state_space.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace ctorch::avx2 {
#define CT_VECTOR_BYTES 32
#include "rows.inc"
#include "state_space.inc"
StateSpaceKernels<float> state_space_float_table() { return make_state_space_table<float>(); }
StateSpaceKernels<double> state_space_double_table() { return make_state_space_table<double>(); }
StateSpaceKernels<BF16> state_space_bfloat16_table() { return make_state_space_table<BF16>(); }
} // namespace ctorch::avx2
#pragma clang attribute pop
#endif
