// What stands between the products of a layer: the sum of a branch and the residual stream with the RMS norm that follows, and
// feed-forwards' gated activations.
//
//   sum = x + branch    out = sum / sqrt(mean of squares + epsilon) weight        out = activation(a) b
//
// The stream may be float32 under layers of 16 bits. Threads share rows as in head_norm.cuh.
#pragma once

#include "head_norm.cuh"

namespace retnet::device {

// T is the type of branches and outputs, S that of the stream.
template <class T, class S, int kColumns, int kRowThreads> struct ResidualNorm : NormRows<T, kColumns, kRowThreads> {
  using Arguments = ResidualNormArguments;
  static constexpr int threads = kNormThreads, min_blocks = 1;
  static constexpr int shared_bytes = norm_shared_bytes(kColumns, kRowThreads, false);
  using N = NormRows<T, kColumns, kRowThreads>;

  static DEVICE void run(const ResidualNormArguments &a) {
    int64_t row = static_cast<int64_t>(block_index(0)) * N::kTeams + N::team();
    if (row >= a.rows)
      return;
    typename N::Row x, other;
    N::read(x, static_cast<const S *>(a.x) + row * a.size, a.size);
    if (a.branch) {
      N::read(other, static_cast<const T *>(a.branch) + row * a.size, a.size);
      // The norm is that of the sum as it is kept.
      UNROLL for (int i = 0; i < kColumns; i++) x[i] = to_float(rounded<S>(x[i] + other[i]));
      N::write(x, static_cast<S *>(a.sum) + row * a.size, a.size);
    }
    N::normalize(x, a.epsilon, a.size, kRmsNorm);
    N::read(other, a.weight, a.size);
    UNROLL for (int i = 0; i < kColumns; i++) x[i] *= other[i];
    N::write(x, static_cast<T *>(a.out) + row * a.size, a.size);
  }
};

// The p-th block takes the p-th part of the rows.
template <class T, class S, int kColumns, int kRowThreads>
struct ResidualNormGradient : NormRows<T, kColumns, kRowThreads> {
  using Arguments = ResidualNormArguments;
  static constexpr int threads = kNormThreads, min_blocks = 1;
  static constexpr int shared_bytes = norm_shared_bytes(kColumns, kRowThreads, true);
  using N = NormRows<T, kColumns, kRowThreads>;

  static DEVICE void run(const ResidualNormArguments &a) {
    int64_t part = block_index(0), begin = a.rows * part / a.parts, end = a.rows * (part + 1) / a.parts;
    typename N::Row weight, d_weight = {};
    N::read(weight, a.weight, a.size);
    // All teams take part in sums, with rows or without.
    for (int64_t first = begin; first < end; first += N::kTeams) {
      int64_t row = first + N::team();
      bool exists = row < end;
      int64_t place = (exists ? row : begin) * a.size;
      typename N::Row x, d;
      N::read(x, static_cast<const S *>(a.sum) + place, a.size);
      N::read(d, static_cast<const T *>(a.d_out) + place, a.size);
      float inverse = N::normalize(x, a.epsilon, a.size, kRmsNorm), along = 0;
      UNROLL for (int i = 0; i < kColumns; i++) {
        if (exists)
          d_weight[i] = fused(d[i], x[i], d_weight[i]);
        d[i] *= weight[i];
        along = fused(d[i], x[i], along);
      }
      along = N::sum(along) / static_cast<float>(a.size);
      UNROLL for (int i = 0; i < kColumns; i++) d[i] = inverse * (d[i] - x[i] * along);
      if (!exists)
        continue;
      if (a.d_sum) {
        N::read(x, static_cast<const S *>(a.d_sum) + place, a.size);
        UNROLL for (int i = 0; i < kColumns; i++) d[i] += x[i];
      }
      N::write(d, static_cast<S *>(a.dx) + place, a.size);
      if (a.d_branch)
        N::write(d, static_cast<T *>(a.d_branch) + place, a.size);
    }
    if (a.d_weight)
      N::write_sums(d_weight, a.d_weight + part * a.size, a.size);
  }
};

// One piece of 16 bytes per thread.
template <class T, int kActivation> struct GatedActivation {
  using Arguments = GatedActivationArguments;
  static constexpr int threads = kElementThreads, min_blocks = 1, shared_bytes = 0;

  static DEVICE void run(const GatedActivationArguments &a) {
    constexpr int kCount = Unit<T>::kCount;
    int64_t i = first_of_piece<T, threads>();
    if (i >= a.count)
      return;
    int count = size_of_piece<T>(i, a.count);
    float x[kCount], y[kCount];
    read_piece(x, static_cast<const T *>(a.a) + i, count, a.aligned);
    UNROLL for (int e = 0; e < kCount; e++) x[e] = activated(x[e], kActivation);
    if (a.b) {
      read_piece(y, static_cast<const T *>(a.b) + i, count, a.aligned);
      UNROLL for (int e = 0; e < kCount; e++) x[e] *= y[e];
    }
    write_piece(x, static_cast<T *>(a.out) + i, count, a.aligned);
  }
};

template <class T, int kActivation> struct GatedActivationGradient {
  using Arguments = GatedActivationArguments;
  static constexpr int threads = kElementThreads, min_blocks = 1, shared_bytes = 0;

  static DEVICE void run(const GatedActivationArguments &a) {
    constexpr int kCount = Unit<T>::kCount;
    int64_t i = first_of_piece<T, threads>();
    if (i >= a.count)
      return;
    int count = size_of_piece<T>(i, a.count);
    float x[kCount], y[kCount], d[kCount];
    read_piece(x, static_cast<const T *>(a.a) + i, count, a.aligned);
    read_piece(d, static_cast<const T *>(a.d_out) + i, count, a.aligned);
    if (a.b) {
      read_piece(y, static_cast<const T *>(a.b) + i, count, a.aligned);
      float db[kCount];
      UNROLL for (int e = 0; e < kCount; e++) {
        db[e] = d[e] * activated(x[e], kActivation);
        d[e] *= y[e];
      }
      write_piece(db, static_cast<T *>(a.db) + i, count, a.aligned);
    }
    UNROLL for (int e = 0; e < kCount; e++) d[e] *= activation_slope(x[e], kActivation);
    write_piece(d, static_cast<T *>(a.da) + i, count, a.aligned);
  }
};

} // namespace retnet::device
