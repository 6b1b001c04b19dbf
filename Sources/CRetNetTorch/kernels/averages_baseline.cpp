// Kernels of averages for any processor of the architecture, and the choice between the compiled sets.
#include "averages.h"

namespace ctorch {

namespace baseline {
#include "rows.inc"
#include "averages.inc"
} // namespace baseline

#if defined(__x86_64__)
#define CT_DECLARE(set)                                                                                              \
  namespace set {                                                                                                    \
  AverageKernels<float> float_averages();                                                                            \
  AverageKernels<double> double_averages();                                                                          \
  AverageKernels<BF16> bfloat16_averages();                                                                          \
  }
CT_DECLARE(avx512)
CT_DECLARE(avx2)
#endif

template <class T, class Wide, class Narrow> static AverageKernels<T> choose(Wide wide, Narrow narrow) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return wide();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return narrow();
#endif
  return baseline::make_average_table<T>();
}

#if defined(__x86_64__)
#define CT_CHOOSE(type, name) choose<type>(avx512::name##_averages, avx2::name##_averages)
#else
#define CT_CHOOSE(type, name) choose<type>(0, 0)
#endif

template <> const AverageKernels<float> &average_kernels<float>() {
  static const auto table = CT_CHOOSE(float, float);
  return table;
}
template <> const AverageKernels<double> &average_kernels<double>() {
  static const auto table = CT_CHOOSE(double, double);
  return table;
}
template <> const AverageKernels<BF16> &average_kernels<BF16>() {
  static const auto table = CT_CHOOSE(BF16, bfloat16);
  return table;
}

} // namespace ctorch
