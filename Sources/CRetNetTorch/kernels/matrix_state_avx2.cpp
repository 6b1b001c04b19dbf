// Kernels of matrix_state.h for avx2.
#include "matrix_state.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace ctorch::avx2 {
#include "rows.inc"

#include "matrix_state.inc"
MatrixStateKernels<float> matrix_state_float_table() { return make_matrix_state_table<float>(); }
MatrixStateKernels<double> matrix_state_double_table() { return make_matrix_state_table<double>(); }
MatrixStateKernels<BF16> matrix_state_bfloat16_table() { return make_matrix_state_table<BF16>(); }
} // namespace ctorch::avx2
#pragma clang attribute pop
#endif
