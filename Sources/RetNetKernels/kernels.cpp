// The one place that chooses the instruction set: the best one that was compiled in and that the processor has.
// A new set (NEON, AMX, ...) is a file in cpu/ and a line here.
#include "cpu/tables.h"

namespace retnet {
namespace {

const KernelTable &choose() {
#if defined(__x86_64__)
  bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (avx512 && __builtin_cpu_supports("avx512bf16"))
    return avx512bf16::table();
  if (avx512)
    return avx512::table();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return avx2::table();
#endif
  return baseline::table();
}

} // namespace

const KernelTable &kernels() {
  static const KernelTable &chosen = choose();
  return chosen;
}

} // namespace retnet
