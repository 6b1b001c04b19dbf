// Kernels of averages for avx2.
#include "averages.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
namespace ctorch::avx2 {
#include "rows.inc"
#include "averages.inc"
AverageKernels<float> float_averages() { return make_average_table<float>(); }
AverageKernels<double> double_averages() { return make_average_table<double>(); }
AverageKernels<BF16> bfloat16_averages() { return make_average_table<BF16>(); }
} // namespace ctorch::avx2
#pragma clang attribute pop
#endif
