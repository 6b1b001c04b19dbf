// Kernels of inference for processors, which need nothing but the C++ library: one table, whose functions are compiled for
// several instruction sets (cpu/) and chosen once for the processor at hand.
#pragma once

#include "decoding.h"

namespace retnet {

struct KernelTable {
  const char *instruction_set;
  DecodingKernels decoding;
};

// The kernels for the processor at hand: the best set that it has, or the one that the variable RETNET_KERNELS of the
// environment names, where it has that.
const KernelTable &kernels();
// The sets that the processor has, the best one first, then null; and the one of a name, or null.
const KernelTable *available_table(int32_t index);
const KernelTable *kernel_table(const char *name);

} // namespace retnet
