// Kernels of matrix_state.h for any processor of the architecture, and the choice between the compiled sets.
#include "matrix_state.h"

namespace ctorch {

namespace baseline {
#include "rows.inc"

#include "matrix_state.inc"
} // namespace baseline

#if defined(__x86_64__)
#define CT_DECLARE(set)                                                                                              \
  namespace set {                                                                                                    \
  MatrixStateKernels<float> matrix_state_float_table();                                                              \
  MatrixStateKernels<double> matrix_state_double_table();                                                            \
  MatrixStateKernels<BF16> matrix_state_bfloat16_table();                                                            \
  }
CT_DECLARE(avx512)
CT_DECLARE(avx2)

#define CT_CHOOSE(name)                                                                                              \
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&                                     \
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))                                      \
    return avx512::matrix_state_##name##_table();                                                                    \
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                                               \
    return avx2::matrix_state_##name##_table();
#else
#define CT_CHOOSE(name)
#endif

template <> const MatrixStateKernels<float> &matrix_state_kernels<float>() {
  static const MatrixStateKernels<float> table = []() -> MatrixStateKernels<float> {
    CT_CHOOSE(float)
    return baseline::make_matrix_state_table<float>();
  }();
  return table;
}
template <> const MatrixStateKernels<double> &matrix_state_kernels<double>() {
  static const MatrixStateKernels<double> table = []() -> MatrixStateKernels<double> {
    CT_CHOOSE(double)
    return baseline::make_matrix_state_table<double>();
  }();
  return table;
}
template <> const MatrixStateKernels<BF16> &matrix_state_kernels<BF16>() {
  static const MatrixStateKernels<BF16> table = []() -> MatrixStateKernels<BF16> {
    CT_CHOOSE(bfloat16)
    return baseline::make_matrix_state_table<BF16>();
  }();
  return table;
}

} // namespace ctorch
