// Row kernels for any processor of the architecture, and the choice between the compiled sets.
#include "rows.h"

namespace ctorch {

namespace baseline {
#include "rows.inc"
} // namespace baseline

#if defined(__x86_64__)
#define CT_DECLARE(set)                                                                                              \
  namespace set {                                                                                                    \
  RowKernels<float> float_table();                                                                                   \
  RowKernels<double> double_table();                                                                                 \
  RowKernels<BF16> bfloat16_table();                                                                                 \
  }
CT_DECLARE(avx512)
CT_DECLARE(avx2)

static bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
static bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#define CT_CHOOSE(type, name)                                                                                        \
  if (has_avx512())                                                                                                  \
    return avx512::name##_table();                                                                                   \
  if (has_avx2())                                                                                                    \
    return avx2::name##_table();
#else
#define CT_CHOOSE(type, name)
#endif

template <> const RowKernels<float> &row_kernels<float>() {
  static const RowKernels<float> table = []() -> RowKernels<float> {
    CT_CHOOSE(float, float)
    return baseline::make_table<float>();
  }();
  return table;
}
template <> const RowKernels<double> &row_kernels<double>() {
  static const RowKernels<double> table = []() -> RowKernels<double> {
    CT_CHOOSE(double, double)
    return baseline::make_table<double>();
  }();
  return table;
}
template <> const RowKernels<BF16> &row_kernels<BF16>() {
  static const RowKernels<BF16> table = []() -> RowKernels<BF16> {
    CT_CHOOSE(BF16, bfloat16)
    return baseline::make_table<BF16>();
  }();
  return table;
}

} // namespace ctorch
