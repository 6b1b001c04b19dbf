// The kernels of training for the instruction set that RetNetKernels has chosen.
#include "cpu/tables.h"

#include <RetNetKernels/kernels.h>

#include <cstring>

namespace retnet {

const TrainingTable &training_kernels() {
  static const TrainingTable &chosen = []() -> const TrainingTable & {
    const char *set = kernels().instruction_set;
    auto is = [&](const char *name) { return std::strcmp(set, name) == 0; };
#if defined(__x86_64__)
    if (is("avx512bf16"))
      return avx512bf16::training_table();
    // Dot products of bytes are for inference only.
    if (is("avx512vnni") || is("avx512"))
      return avx512::training_table();
    if (is("avx2"))
      return avx2::training_table();
#endif
    (void)is;
    return baseline::training_table();
  }();
  return chosen;
}

} // namespace retnet
