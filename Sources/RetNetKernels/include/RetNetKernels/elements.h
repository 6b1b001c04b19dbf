// Element types of the kernels, and the numbers that stand for activations and norms.
#pragma once

#include <cstdint>

namespace retnet {

// Storage of a bfloat16 element; arithmetic is in float.
struct BF16 {
  uint16_t bits;
};

// Type of sums, weights and states for elements of type T.
template <class T> struct Accumulator {
  using type = float;
};
template <> struct Accumulator<double> {
  using type = double;
};

// Inlined everywhere: these are used by code for every instruction set.
#define RETNET_INLINE inline __attribute__((always_inline))

RETNET_INLINE float widened(BF16 x) { return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16); }
RETNET_INLINE float widened(float x) { return x; }
RETNET_INLINE double widened(double x) { return x; }

// The nearest bfloat16 (ties to even); every NaN becomes the quiet one.
RETNET_INLINE BF16 rounded(float x) {
  uint32_t bits = __builtin_bit_cast(uint32_t, x);
  uint32_t nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return {static_cast<uint16_t>(x != x ? 0x7fc0u : nearest)};
}

enum Activation : int32_t { kNone = 0, kSwish = 1, kGelu = 2, kRelu = 3, kGeluTanh = 4 };
enum NormKind : int32_t { kRMS = 1, kLayer = 2 };

// Packed rows and blocks of channels are as wide as a multiple of this, the widest vector of any instruction set.
constexpr int64_t kPadding = 16;
inline int64_t padded(int64_t size) { return (size + kPadding - 1) / kPadding * kPadding; }

// Largest number of channels of one call of an average with exponential weights: their running sums stay in the first-level
// cache.
constexpr int64_t kAverageBlock = 64;

// Sums over past tokens: a = numerator, b = denominator, both divided by e^p. Empty where a = b = 0.
template <class A> struct RunningSums {
  A *numerator, *denominator, *exponent;
};

} // namespace retnet
