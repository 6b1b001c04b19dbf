// Kernels of state_space.h for any processor of the architecture, and the choice between the compiled sets.
#include "state_space.h"

namespace ctorch {

namespace baseline {
#define CT_VECTOR_BYTES 16
#include "rows.inc"
#include "state_space.inc"
} // namespace baseline

#if defined(__x86_64__)
#define CT_DECLARE(set)                                                                                              \
  namespace set {                                                                                                    \
  StateSpaceKernels<float> state_space_float_table();                                                                \
  StateSpaceKernels<double> state_space_double_table();                                                              \
  StateSpaceKernels<BF16> state_space_bfloat16_table();                                                              \
  }
CT_DECLARE(avx512)
CT_DECLARE(avx2)
#endif

#if defined(__x86_64__)
#define CT_CHOOSE(name)                                                                                              \
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&                                     \
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))                                      \
    return avx512::state_space_##name##_table();                                                                     \
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                                               \
    return avx2::state_space_##name##_table();
#else
#define CT_CHOOSE(name)
#endif

template <> const StateSpaceKernels<float> &state_space_kernels<float>() {
  static const StateSpaceKernels<float> table = []() -> StateSpaceKernels<float> {
    CT_CHOOSE(float)
    return baseline::make_state_space_table<float>();
  }();
  return table;
}
template <> const StateSpaceKernels<double> &state_space_kernels<double>() {
  static const StateSpaceKernels<double> table = []() -> StateSpaceKernels<double> {
    CT_CHOOSE(double)
    return baseline::make_state_space_table<double>();
  }();
  return table;
}
template <> const StateSpaceKernels<BF16> &state_space_kernels<BF16>() {
  static const StateSpaceKernels<BF16> table = []() -> StateSpaceKernels<BF16> {
    CT_CHOOSE(bfloat16)
    return baseline::make_state_space_table<BF16>();
  }();
  return table;
}

} // namespace ctorch
