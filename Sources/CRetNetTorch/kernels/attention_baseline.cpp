// Tiles of attention for any processor of the architecture, and the choice between the compiled sets.
#include "attention_tiles.h"

#define CT_VECTOR_BYTES 16
#define CT_NATIVE_BF16 0

namespace ctorch {

namespace baseline {
#include "attention_tiles.inc"
} // namespace baseline

#if defined(__x86_64__)
namespace avx2 {
AttentionKernels<float> float_attention();
AttentionKernels<double> double_attention();
AttentionKernels<BF16> bfloat16_attention();
} // namespace avx2
namespace avx512 {
AttentionKernels<float> float_attention();
AttentionKernels<double> double_attention();
AttentionKernels<BF16> bfloat16_attention();
} // namespace avx512
namespace avx512bf16 {
AttentionKernels<BF16> bfloat16_attention();
} // namespace avx512bf16

static bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
static bool has_avx512bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
static bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#define CT_CHOOSE(name)                                                                                              \
  if (has_avx512())                                                                                                  \
    return avx512::name##_attention();                                                                               \
  if (has_avx2())                                                                                                    \
    return avx2::name##_attention();
#define CT_CHOOSE_BF16                                                                                               \
  if (has_avx512bf16())                                                                                              \
    return avx512bf16::bfloat16_attention();
#else
#define CT_CHOOSE(name)
#define CT_CHOOSE_BF16
#endif

template <> const AttentionKernels<float> &attention_kernels<float>() {
  static const AttentionKernels<float> table = []() -> AttentionKernels<float> {
    CT_CHOOSE(float)
    return baseline::make_attention<float>();
  }();
  return table;
}
template <> const AttentionKernels<double> &attention_kernels<double>() {
  static const AttentionKernels<double> table = []() -> AttentionKernels<double> {
    CT_CHOOSE(double)
    return baseline::make_attention<double>();
  }();
  return table;
}
template <> const AttentionKernels<BF16> &attention_kernels<BF16>() {
  static const AttentionKernels<BF16> table = []() -> AttentionKernels<BF16> {
    CT_CHOOSE_BF16
    CT_CHOOSE(bfloat16)
    return baseline::make_attention<BF16>();
  }();
  return table;
}

} // namespace ctorch
