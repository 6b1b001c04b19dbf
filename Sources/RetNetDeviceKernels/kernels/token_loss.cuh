// The loss of tokens over logits: loss = z - logit of the target, z = log sum exp of the row, and its gradient. A block
// takes a row, and every thread pieces of 16 bytes of it; the sum is kept with the largest logit so far.
#pragma once

#include "device.cuh"

namespace retnet::device {

// Below all logits but -inf, which stand for no logit: infinities would give differences that are no numbers.
constexpr float kLowest = -3.402823466e38f;

template <class T> struct TokenLoss {
  using Arguments = TokenLossArguments;
  static constexpr int threads = kLossThreads, min_blocks = 1, shared_bytes = kLossSharedBytes;

  static DEVICE void add(float &largest, float &sum, float other, float other_sum) {
    float top = other > largest ? other : largest;
    sum = sum * exponential(largest - top) + other_sum * exponential(other - top);
    largest = top;
  }

  static DEVICE void run(const TokenLossArguments &a) {
    constexpr int kCount = Unit<T>::kCount;
    int row = block_index(0);
    const T *logits = static_cast<const T *>(a.logits) + row * a.stride;
    float largest = kLowest, sum = 0;
    each_piece<T, threads>(a.size, [&](int64_t i, int count) {
      float x[kCount];
      read_piece(x, logits + i, count, a.aligned);
      float top = largest;
      UNROLL for (int e = 0; e < kCount; e++)
        if (e < count && x[e] > top)
          top = x[e];
      sum *= exponential(largest - top);
      largest = top;
      UNROLL for (int e = 0; e < kCount; e++)
        if (e < count)
          sum += exponential(x[e] - top);
    });
    for (int mask = 16; mask > 0; mask /= 2) {
      float other = shuffle_xor(largest, mask), other_sum = shuffle_xor(sum, mask);
      add(largest, sum, other, other_sum);
    }
    float *shared = reinterpret_cast<float *>(shared_memory());
    if (lane_index() == 0)
      shared[warp_index()] = largest, shared[8 + warp_index()] = sum;
    barrier();
    if (thread_index() > 0)
      return;
    for (int warp = 1; warp < threads / 32; warp++)
      add(largest, sum, shared[warp], shared[8 + warp]);
    float z = largest + logarithm(sum);
    int64_t target = a.targets[row];
    a.log_sums[row] = z;
    a.losses[row] = target == kIgnoredTarget ? 0.0f : z - to_float(logits[target]);
  }
};

template <class T> struct TokenLossGradient {
  using Arguments = TokenLossArguments;
  static constexpr int threads = kLossThreads, min_blocks = 1, shared_bytes = 0;

  static DEVICE void run(const TokenLossArguments &a) {
    constexpr int kCount = Unit<T>::kCount;
    int row = block_index(0);
    const T *logits = static_cast<const T *>(a.logits) + row * a.stride;
    T *gradients = static_cast<T *>(a.d_logits) + row * a.d_stride;
    int64_t target = a.targets[row];
    float d_loss = a.d_losses && target != kIgnoredTarget ? a.d_losses[row] : 0.0f;
    float factor = d_loss + (a.d_log_sums ? a.d_log_sums[row] : 0.0f), z = a.log_sums[row];
    each_piece<T, threads>(a.size, [&](int64_t i, int count) {
      float x[kCount];
      read_piece(x, logits + i, count, a.aligned);
      UNROLL for (int e = 0; e < kCount; e++) {
        x[e] = factor * exponential(x[e] - z);
        if (i + e == target)
          x[e] -= d_loss;
      }
      write_piece(x, gradients + i, count, a.aligned);
    });
  }
};

} // namespace retnet::device
