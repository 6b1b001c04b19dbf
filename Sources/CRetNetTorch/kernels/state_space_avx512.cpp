// Kernels of state_space.h for avx512.
#include "state_space.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
namespace ctorch::avx512 {
#define CT_VECTOR_BYTES 64
#include "rows.inc"
#include "state_space.inc"
StateSpaceKernels<float> state_space_float_table() { return make_state_space_table<float>(); }
StateSpaceKernels<double> state_space_double_table() { return make_state_space_table<double>(); }
StateSpaceKernels<BF16> state_space_bfloat16_table() { return make_state_space_table<BF16>(); }
} // namespace ctorch::avx512
#pragma clang attribute pop
#endif
