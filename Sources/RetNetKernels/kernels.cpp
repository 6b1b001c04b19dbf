// The one place that chooses the instruction set: the best one that was compiled in and that the processor has.
// A new set (NEON, AMX, ...) is a file in cpu/ and a line here.
#include "cpu/tables.h"

#include <cstdlib>
#include <cstring>

#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace retnet {
namespace {

#if defined(__aarch64__)
bool has_dot_products() {
#if defined(__linux__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
#elif defined(__APPLE__)
  int32_t value = 0;
  size_t size = sizeof(value);
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &value, &size, nullptr, 0) == 0 && value;
#else
  return false;
#endif
}
#endif

// The sets that the processor has, the best one first.
struct Sets {
  const KernelTable *tables[8] = {};
  int32_t count = 0;

  Sets() {
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
    if (vnni && __builtin_cpu_supports("avx512bf16"))
      add(avx512bf16::table());
    if (vnni)
      add(avx512vnni::table());
    if (avx512)
      add(avx512::table());
    if (avx2)
      add(avx2::table());
#endif
#if defined(__aarch64__)
    if (has_dot_products())
      add(neondot::table());
#endif
    add(baseline::table());
  }

  void add(const KernelTable &table) { tables[count++] = &table; }
};

const Sets &sets() {
  static const Sets sets;
  return sets;
}

} // namespace

const KernelTable *available_table(int32_t index) { return index < sets().count ? sets().tables[index] : nullptr; }

const KernelTable *kernel_table(const char *name) {
  for (int32_t i = 0; i < sets().count; i++)
    if (std::strcmp(sets().tables[i]->instruction_set, name) == 0)
      return sets().tables[i];
  return nullptr;
}

const KernelTable &kernels() {
  static const KernelTable &chosen = [] () -> const KernelTable & {
    const char *name = std::getenv("RETNET_KERNELS");
    const KernelTable *named = name ? kernel_table(name) : nullptr;
    return named ? *named : *sets().tables[0];
  }();
  return chosen;
}

} // namespace retnet
