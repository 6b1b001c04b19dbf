// Sums of streams with a matrix of weights: AltUp's mix (arXiv 2301.13310), its prediction, and their gradients.
//
//   out_i = sum_j w_ij x_j        dw_ij = sum over all elements of d_out_i x_j
//
// The gradients by the streams are sums of the first kind with the transposed weights.
#pragma once

#include "device.cuh"

namespace retnet::device {

template <class T, int kInputs, int kOutputs> struct Combine {
  using Arguments = CombineArguments;
  static constexpr int threads = kCombineThreads, min_blocks = 1, shared_bytes = 0;

  // One piece of 16 bytes of every stream per thread.
  static DEVICE void run(const CombineArguments &a) {
    constexpr int kCount = Unit<T>::kCount;
    int64_t i = first_of_piece<T, threads>();
    if (i >= a.count)
      return;
    int count = size_of_piece<T>(i, a.count);
    float x[kInputs][kCount];
    UNROLL for (int j = 0; j < kInputs; j++) read_piece(x[j], static_cast<const T *>(a.in[j]) + i, count, a.aligned);
    UNROLL for (int o = 0; o < kOutputs; o++) {
      float y[kCount] = {};
      UNROLL for (int j = 0; j < kInputs; j++) {
        float weight = a.weights[o * kInputs + j];
        UNROLL for (int e = 0; e < kCount; e++) y[e] = fused(weight, x[j][e], y[e]);
      }
      write_piece(y, static_cast<T *>(a.out[o]) + i, count, a.aligned);
    }
  }
};

// The p-th block takes the p-th part of all elements.
template <class T, int kInputs, int kOutputs> struct CombineGradient {
  using Arguments = CombineArguments;
  static constexpr int threads = kCombineThreads, min_blocks = 1;
  static constexpr int shared_bytes = combine_shared_bytes(kInputs, kOutputs);

  static DEVICE void run(const CombineArguments &a) {
    constexpr int kCount = Unit<T>::kCount;
    int64_t pieces = (a.count + kCount - 1) / kCount;
    int64_t begin = pieces * block_index(0) / a.parts * kCount, end = pieces * (block_index(0) + 1) / a.parts * kCount;
    float sums[kOutputs][kInputs] = {};
    each_piece<T, threads>((end < a.count ? end : a.count) - begin, [&](int64_t i, int count) {
      float x[kInputs][kCount];
      UNROLL for (int j = 0; j < kInputs; j++)
        read_piece(x[j], static_cast<const T *>(a.in[j]) + begin + i, count, a.aligned);
      UNROLL for (int o = 0; o < kOutputs; o++) {
        float d[kCount];
        read_piece(d, static_cast<const T *>(a.out[o]) + begin + i, count, a.aligned);
        UNROLL for (int j = 0; j < kInputs; j++)
          UNROLL for (int e = 0; e < kCount; e++) sums[o][j] = fused(d[e], x[j][e], sums[o][j]);
      }
    });
    float *shared = reinterpret_cast<float *>(shared_memory());
    UNROLL for (int o = 0; o < kOutputs; o++)
      UNROLL for (int j = 0; j < kInputs; j++) {
        float sum = warp_sum(sums[o][j]);
        if (lane_index() == 0)
          shared[warp_index() * kInputs * kOutputs + o * kInputs + j] = sum;
      }
    barrier();
    for (int i = thread_index(); i < kInputs * kOutputs; i += threads) {
      float sum = 0;
      for (int warp = 0; warp < threads / 32; warp++)
        sum += shared[warp * kInputs * kOutputs + i];
      a.gradients[static_cast<int64_t>(block_index(0)) * kInputs * kOutputs + i] = sum;
    }
  }
};

} // namespace retnet::device
