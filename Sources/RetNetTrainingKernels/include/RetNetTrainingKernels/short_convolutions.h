// Causal convolutions with a few taps and an activation behind them, in one pass over memory each way.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// Largest number of channels of one call: the last inputs of a block stay in the first-level cache.
constexpr int64_t kConvolutionBlock = 128;

// One block of channels of one sequence. With inputs before the first position from the ring (zeros where it is NULL):
//
//   z_t = bias + sum_j taps[j] x_(t - (width - 1) + j)        out_t = activation(z_t)
template <class T> struct ShortConvolution {
  using Acc = typename Accumulator<T>::type;

  int64_t time, size, width; // size: channels
  const T *x;
  int64_t x_step;    // from one position to the next
  const Acc *taps;   // [width][step]
  const Acc *bias;   // [size] or NULL
  const Acc *ring;   // [width - 1][step] or NULL
  int64_t step;      // of taps, rings and their gradients
  int32_t activation;
};

template <class T> struct ConvolutionGradients {
  using Acc = typename Accumulator<T>::type;

  const T *out;
  int64_t out_step;
  const Acc *next_ring; // [width - 1][step] or NULL
  T *x;
  int64_t x_step;
  Acc *ring;        // [width - 1][step] or NULL
  Acc *taps, *bias; // added to; bias may be NULL
};

template <class T> struct ShortConvolutionKernels {
  using Acc = typename Accumulator<T>::type;

  // Elements of scratch that both need.
  int64_t (*scratch)(int64_t size, int64_t width);
  // `next_ring` [width - 1][step]: the last inputs.
  void (*forward)(const ShortConvolution<T> &c, T *out, int64_t out_step, Acc *next_ring, Acc *scratch);
  void (*backward)(const ShortConvolution<T> &c, const ConvolutionGradients<T> &gradients, Acc *scratch);
};

} // namespace retnet
