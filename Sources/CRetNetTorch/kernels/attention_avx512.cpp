// Tiles of attention for avx512.
#include "attention_tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define CT_VECTOR_BYTES 64
#define CT_NATIVE_BF16 0
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
namespace ctorch::avx512 {
#include "attention_tiles.inc"
AttentionKernels<float> float_attention() { return make_attention<float>(); }
AttentionKernels<double> double_attention() { return make_attention<double>(); }
AttentionKernels<BF16> bfloat16_attention() { return make_attention<BF16>(); }
} // namespace ctorch::avx512
#pragma clang attribute pop
#endif
