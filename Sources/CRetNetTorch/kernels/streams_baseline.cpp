// Kernels of streams.h for any processor of the architecture, and the choice between the compiled sets.
#include "streams.h"

namespace ctorch {

namespace baseline {
#include "rows.inc"
#include "streams.inc"
} // namespace baseline

#if defined(__x86_64__)
#define CT_DECLARE(set)                                                                                              \
  namespace set {                                                                                                    \
  StreamKernels<float> stream_float_table();                                                                         \
  StreamKernels<double> stream_double_table();                                                                       \
  StreamKernels<BF16> stream_bfloat16_table();                                                                       \
  }
CT_DECLARE(avx512)
CT_DECLARE(avx2)
#define CT_CHOOSE(name)                                                                                              \
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&                                     \
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))                                      \
    return avx512::stream_##name##_table();                                                                          \
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))                                               \
    return avx2::stream_##name##_table();
#else
#define CT_CHOOSE(name)
#endif

template <> const StreamKernels<float> &stream_kernels<float>() {
  static const StreamKernels<float> table = []() -> StreamKernels<float> {
    CT_CHOOSE(float)
    return baseline::make_stream_table<float>();
  }();
  return table;
}
template <> const StreamKernels<double> &stream_kernels<double>() {
  static const StreamKernels<double> table = []() -> StreamKernels<double> {
    CT_CHOOSE(double)
    return baseline::make_stream_table<double>();
  }();
  return table;
}
template <> const StreamKernels<BF16> &stream_kernels<BF16>() {
  static const StreamKernels<BF16> table = []() -> StreamKernels<BF16> {
    CT_CHOOSE(bfloat16)
    return baseline::make_stream_table<BF16>();
  }();
  return table;
}

} // namespace ctorch
