// The norm of every head with its gate, and norms of rows, forward and backward.
//
//   y = (x - mean) / sqrt(mean of squares + epsilon) weight + bias,    out = y activation(gate)
//
// with an epsilon per row, which is how the factors of scores reach retention (RMSNorm(o / s; e) = o / sqrt(mean(o^2) +
// e s^2)); the mean is 0 in RMS norms. Rows of x lie as [B, H, T], those of gate and output as [B, T, H]. A warp takes a row
// of up to 512 elements, a block a longer one; sums over rows are kept per block and added in order.
#pragma once

#include "activations.cuh"

namespace retnet::device {

// `kColumns` elements of a row per thread, an even number.
template <class T, int kColumns, int kRowThreads> struct NormRows {
  using Row = float[kColumns];
  static constexpr int kTeams = kNormThreads / kRowThreads;

  static DEVICE int lane() { return thread_index() % kRowThreads; }
  static DEVICE int team() { return thread_index() / kRowThreads; }
  // Where the i-th element of a thread lies in the row: neighbors in pairs.
  static DEVICE int column(int i) { return (i / 2 * kRowThreads + lane()) * 2 + i % 2; }

  template <class Element> static DEVICE void read(Row &x, const Element *from, int size, float missing = 0.0f) {
    UNROLL for (int i = 0; i < kColumns; i += 2) {
      x[i] = x[i + 1] = missing;
      if (from && size % 2 == 0 && column(i) < size) {
        load_pair(from + column(i), x[i], x[i + 1]);
      } else if (from) {
        UNROLL for (int e = 0; e < 2; e++)
          if (column(i + e) < size)
            x[i + e] = to_float(from[column(i + e)]);
      }
    }
  }
  template <class Element> static DEVICE void write(const Row &x, Element *to, int size) {
    UNROLL for (int i = 0; i < kColumns; i += 2) {
      if (size % 2 == 0 && column(i) < size) {
        store_pair(to + column(i), x[i], x[i + 1]);
      } else {
        UNROLL for (int e = 0; e < 2; e++)
          if (column(i + e) < size)
            round_to(x[i + e], to[column(i + e)]);
      }
    }
  }
  // The sum over the threads of a row; all threads of the block call it together.
  static DEVICE float sum(float x) {
    return kRowThreads == 32 ? warp_sum(x) : block_sum<kNormThreads>(x, reinterpret_cast<float *>(shared_memory()));
  }

  // x becomes the normalized row; returns the inverse of the root.
  static DEVICE float normalize(Row &x, float epsilon, int size, int kind) {
    if (kind == kLayerNorm) {
      float total = 0;
      UNROLL for (int i = 0; i < kColumns; i++) total += x[i];
      float mean = sum(total) / static_cast<float>(size);
      UNROLL for (int i = 0; i < kColumns; i++) x[i] = column(i) < size ? x[i] - mean : 0.0f;
    }
    float squares = 0;
    UNROLL for (int i = 0; i < kColumns; i++) squares = fused(x[i], x[i], squares);
    float inverse = inverse_root(sum(squares) / static_cast<float>(size) + epsilon);
    UNROLL for (int i = 0; i < kColumns; i++) x[i] *= inverse;
    return inverse;
  }

  // Adds the sums of all teams and writes them.
  static DEVICE void write_sums(const Row &sums, float *to, int size) {
    if (kTeams == 1) {
      UNROLL for (int i = 0; i < kColumns; i++)
        if (column(i) < size)
          to[column(i)] = sums[i];
      return;
    }
    float *shared = reinterpret_cast<float *>(shared_memory());
    UNROLL for (int i = 0; i < kColumns; i++)
      shared[team() * kColumns * kRowThreads + column(i)] = sums[i];
    barrier();
    for (int column = thread_index(); column < size; column += kNormThreads) {
      float sum = 0;
      for (int team = 0; team < kTeams; team++)
        sum += shared[team * kColumns * kRowThreads + column];
      to[column] = sum;
    }
    barrier();
  }

  static DEVICE float epsilon(const HeadNormArguments &a, int64_t row) { return a.epsilons[row % a.epsilon_count]; }
};

template <class T, int kColumns, int kRowThreads, int kActivation>
struct HeadNorm : NormRows<T, kColumns, kRowThreads> {
  using Arguments = HeadNormArguments;
  static constexpr int threads = kNormThreads, min_blocks = 1;
  static constexpr int shared_bytes = norm_shared_bytes(kColumns, kRowThreads, false);
  using N = NormRows<T, kColumns, kRowThreads>;

  static DEVICE void run(const HeadNormArguments &a) {
    int64_t row = static_cast<int64_t>(block_index(0)) * N::kTeams + N::team();
    int64_t rows = static_cast<int64_t>(a.batch) * a.heads * a.time;
    if (row >= rows)
      return;
    int64_t t = row % a.time, h = row / a.time % a.heads, b = row / a.time / a.heads;
    int64_t other = ((b * a.time + t) * a.heads + h) * a.size;
    typename N::Row x, gate;
    N::read(x, static_cast<const T *>(a.x) + row * a.size, a.size);
    N::normalize(x, N::epsilon(a, row), a.size, a.kind);
    if (a.weight)
      UNROLL for (int i = 0; i < kColumns; i++)
        if (N::column(i) < a.size)
          x[i] *= a.weight[h * a.size + N::column(i)];
    if (a.bias)
      UNROLL for (int i = 0; i < kColumns; i++)
        if (N::column(i) < a.size)
          x[i] += a.bias[h * a.size + N::column(i)];
    if (a.gate) {
      N::read(gate, static_cast<const T *>(a.gate) + other, a.size);
      UNROLL for (int i = 0; i < kColumns; i++) x[i] *= activated(gate[i], kActivation);
    }
    N::write(x, static_cast<T *>(a.out) + other, a.size);
  }
};

// A block takes rows of one head, the p-th part of all batches and tokens.
template <class T, int kColumns, int kRowThreads, int kActivation>
struct HeadNormGradient : NormRows<T, kColumns, kRowThreads> {
  using Arguments = HeadNormArguments;
  static constexpr int threads = kNormThreads, min_blocks = 1;
  static constexpr int shared_bytes = norm_shared_bytes(kColumns, kRowThreads, true);
  using N = NormRows<T, kColumns, kRowThreads>;

  static DEVICE void run(const HeadNormArguments &a) {
    int64_t part = block_index(0), h = block_index(1);
    int64_t rows = static_cast<int64_t>(a.batch) * a.time; // of this head
    int64_t begin = rows * part / a.parts, end = rows * (part + 1) / a.parts;
    const float *weight = a.weight ? a.weight + h * a.size : nullptr, *bias = a.bias ? a.bias + h * a.size : nullptr;
    typename N::Row w, c, d_weight = {}, d_bias = {};
    N::read(w, weight, a.size, 1.0f);
    N::read(c, bias, a.size);
    float inverse_size = 1.0f / static_cast<float>(a.size);
    // All teams take part in sums, with rows or without.
    for (int64_t first = begin; first < end; first += N::kTeams) {
      int64_t index = first + N::team();
      bool exists = index < end;
      if (!exists)
        index = begin;
      int64_t b = index / a.time, t = index % a.time, row = (b * a.heads + h) * a.time + t;
      int64_t other = ((b * a.time + t) * a.heads + h) * a.size;
      typename N::Row x, d;
      N::read(x, static_cast<const T *>(a.x) + row * a.size, a.size);
      N::read(d, static_cast<const T *>(a.d_out) + other, a.size);
      float inverse = N::normalize(x, N::epsilon(a, row), a.size, a.kind);
      if (a.gate) {
        typename N::Row gate;
        N::read(gate, static_cast<const T *>(a.gate) + other, a.size);
        UNROLL for (int i = 0; i < kColumns; i++) {
          float y = fused(x[i], w[i], c[i]), g = gate[i];
          gate[i] = d[i] * y * activation_slope(g, kActivation);
          d[i] *= activated(g, kActivation);
        }
        if (exists)
          N::write(gate, static_cast<T *>(a.d_gate) + other, a.size);
      }
      float along = 0, average = 0;
      UNROLL for (int i = 0; i < kColumns; i++) {
        if (exists) {
          d_bias[i] += d[i];
          d_weight[i] = fused(d[i], x[i], d_weight[i]);
        }
        d[i] *= w[i];
        along = fused(d[i], x[i], along);
        average += d[i];
      }
      along = N::sum(along) * inverse_size;
      average = a.kind == kLayerNorm ? N::sum(average) * inverse_size : 0.0f;
      UNROLL for (int i = 0; i < kColumns; i++) d[i] = inverse * (d[i] - average - x[i] * along);
      if (exists)
        N::write(d, static_cast<T *>(a.dx) + row * a.size, a.size);
    }
    int64_t place = (part * a.heads + h) * a.size;
    if (a.d_weight)
      N::write_sums(d_weight, a.d_weight + place, a.size);
    if (a.d_bias)
      N::write_sums(d_bias, a.d_bias + place, a.size);
  }
};

} // namespace retnet::device
