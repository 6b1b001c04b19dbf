// Kernels of stream_rows.h for any processor of the architecture, and the choice between the compiled sets.
#include "stream_rows.h"

namespace ctorch {

namespace baseline {
#include "rows.inc"
#include "stream_rows.inc"
} // namespace baseline

#if defined(__x86_64__)
#define CT_DECLARE(set)                                                                                              \
  namespace set {                                                                                                    \
  StreamRows<float, float> stream_float();                                                                           \
  StreamRows<double, double> stream_double();                                                                        \
  StreamRows<BF16, BF16> stream_bfloat16();                                                                          \
  StreamRows<BF16, float> stream_wide();                                                                             \
  ScoreRows<float> score_float();                                                                                    \
  ScoreRows<double> score_double();                                                                                  \
  ScoreRows<BF16> score_bfloat16();                                                                                  \
  }
CT_DECLARE(avx512)
CT_DECLARE(avx2)

static bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
static bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#define CT_CHOOSE(name) has_avx512() ? avx512::name() : has_avx2() ? avx2::name() : baseline::name()
#else
#define CT_CHOOSE(name) baseline::name()
#endif

#define CT_TABLE(type, function, name)                                                                               \
  template <> const type &function {                                                                                 \
    static const type table = CT_CHOOSE(name);                                                                       \
    return table;                                                                                                    \
  }
#define CT_STREAM(T, S, name)                                                                                        \
  template <> const StreamRows<T, S> &stream_rows<T, S>() {                                                          \
    static const StreamRows<T, S> table = CT_CHOOSE(name);                                                           \
    return table;                                                                                                    \
  }
CT_STREAM(float, float, stream_float)
CT_STREAM(double, double, stream_double)
CT_STREAM(BF16, BF16, stream_bfloat16)
CT_STREAM(BF16, float, stream_wide)
CT_TABLE(ScoreRows<float>, score_rows<float>(), score_float)
CT_TABLE(ScoreRows<double>, score_rows<double>(), score_double)
CT_TABLE(ScoreRows<BF16>, score_rows<BF16>(), score_bfloat16)

} // namespace ctorch
