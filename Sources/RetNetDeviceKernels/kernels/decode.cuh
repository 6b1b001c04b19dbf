// One token of every sequence through a layer's retention, from projections to gated heads, in one launch:
//
//   q, k rotated, k scaled    S = a S + k^T v    o = q S    out = activation(gate) (norm(o) weight + bias)
//
// A block takes 32 values of a head, so that small batches too read the state with all multiprocessors. Rows of 128 bytes
// of the state are read by 8 threads each, eight rows ahead of their use. The norm needs all values of a head: every block
// leaves its sums in memory, and the one that comes last takes them all. Who that is changes nothing in the result.
#pragma once

#include "activations.cuh"

namespace retnet::device {

template <class T, int kKeys> struct DecodeStep {
  using Arguments = DecodeStepArguments;
  static constexpr int threads = kDecodeThreads, min_blocks = 1;
  static constexpr int shared_bytes = decode_shared_bytes(kKeys);
  static constexpr int kColumnThreads = kDecodeTile / 4, kRows = threads / kColumnThreads, kAhead = 8;
  static_assert(kRows == 16);

  static DEVICE const T *row(const Rows &rows, int batch, int head) {
    return static_cast<const T *>(rows.data) + batch * rows.batch + head / rows.share * rows.head;
  }

  // Queries or keys of a head, rotated.
  static DEVICE void rotate(const DecodeStepArguments &a, const T *x, int batch, float scale, float *out) {
    constexpr int half = kKeys / 2;
    if (!a.cosine) {
      for (int i = thread_index(); i < kKeys; i += threads)
        out[i] = to_float(x[i]) * scale;
      return;
    }
    for (int pair = thread_index(); pair < half; pair += threads) {
      int first = a.interleaved ? 2 * pair : pair, second = a.interleaved ? 2 * pair + 1 : pair + half;
      float u = to_float(x[first]), v = to_float(x[second]);
      float c = a.cosine[batch * a.angle_batch + pair], s = a.sine[batch * a.angle_batch + pair];
      out[first] = (u * c - v * s) * scale;
      out[second] = (v * c + u * s) * scale;
    }
  }

  static DEVICE void read(float (&x)[4], const float *from, int count) {
    if (count == 4) {
      Unit<float> unit = *reinterpret_cast<const Unit<float> *>(from);
      UNROLL for (int e = 0; e < 4; e++) x[e] = unit.elements[e];
    } else {
      UNROLL for (int e = 0; e < 4; e++) x[e] = e < -count ? from[e] : 0.0f;
    }
  }
  static DEVICE void write(const float (&x)[4], float *to, int count) {
    if (count == 4) {
      *reinterpret_cast<Unit<float> *>(to) = Unit<float>{{x[0], x[1], x[2], x[3]}};
    } else {
      UNROLL for (int e = 0; e < 4; e++)
        if (e < -count)
          to[e] = x[e];
    }
  }

  // Norm and gate of a head [V] of float32, by all threads.
  static DEVICE void finish(const DecodeStepArguments &a, int batch, int head, float *scratch) {
    const float *x = a.scratch + static_cast<int64_t>(batch * a.heads + head) * a.value_size;
    float size = static_cast<float>(a.value_size), mean = 0, squares = 0;
    if (a.norm == kLayerNorm) {
      float sum = 0;
      for (int i = thread_index(); i < a.value_size; i += threads)
        sum += read_fresh(x + i);
      mean = block_sum<threads>(sum, scratch) / size;
    }
    for (int i = thread_index(); i < a.value_size; i += threads) {
      float centered = read_fresh(x + i) - mean;
      squares = fused(centered, centered, squares);
    }
    float epsilon = a.epsilons[(batch * a.heads + head) % a.epsilon_count];
    float inverse = inverse_root(block_sum<threads>(squares, scratch) / size + epsilon);
    for (int i = thread_index(); i < a.value_size; i += threads) {
      float y = (read_fresh(x + i) - mean) * inverse;
      if (a.norm_weight)
        y *= a.norm_weight[head * a.value_size + i];
      if (a.norm_bias)
        y += a.norm_bias[head * a.value_size + i];
      put(a, batch, head, i, y);
    }
  }
  static DEVICE void put(const DecodeStepArguments &a, int batch, int head, int value, float y) {
    if (a.gate.data)
      y *= activated(to_float(row(a.gate, batch, head)[value]), a.activation);
    round_to(y, static_cast<T *>(a.out)[static_cast<int64_t>(batch * a.heads + head) * a.value_size + value]);
  }

  static DEVICE void run(const DecodeStepArguments &a) {
    int n = block_index(1), head = n % a.heads, batch = n / a.heads, thread = thread_index();
    float *query = reinterpret_cast<float *>(shared_memory()), *key = query + kKeys;
    float *sums = key + kKeys, *scratch = sums + kDecodeTile * kRows;
    rotate(a, row(a.query, batch, head), batch, 1.0f, query);
    rotate(a, row(a.key, batch, head), batch, a.key_scale, key);

    float decay = a.log_gates ? exponential(a.log_gates[n]) : power_of_two(a.log2_gammas[head]);
    int first = block_index(0) * kDecodeTile + thread % kColumnThreads * 4, own = thread / kColumnThreads;
    int left = a.value_size - first;
    left = left < 0 ? 0 : left > 4 ? 4 : left;
    // Four at once where all rows begin at multiples of 16 bytes; else one by one, as a negative count.
    int count = left == 4 && a.value_size % 4 == 0 ? 4 : -left;
    const T *values = row(a.value, batch, head) + first;
    float value[4], sum[4] = {};
    UNROLL for (int e = 0; e < 4; e++) value[e] = e < left ? to_float(values[e]) : 0.0f;
    float *state = a.state + static_cast<int64_t>(n) * kKeys * a.value_size + first;
    barrier();
    for (int base = own; base < kKeys; base += kRows * kAhead) {
      float s[kAhead][4];
      UNROLL for (int i = 0; i < kAhead; i++) {
        int k = base + i * kRows;
        read(s[i], state + static_cast<int64_t>(k) * a.value_size, k < kKeys ? count : 0);
      }
      UNROLL for (int i = 0; i < kAhead; i++) {
        int k = base + i * kRows;
        if (k >= kKeys)
          continue;
        float x = key[k], y = query[k];
        UNROLL for (int e = 0; e < 4; e++) {
          s[i][e] = fused(decay, s[i][e], x * value[e]);
          sum[e] = fused(y, s[i][e], sum[e]);
        }
        write(s[i], state + static_cast<int64_t>(k) * a.value_size, count);
      }
    }
    UNROLL for (int e = 0; e < 4; e++) sums[own * kDecodeTile + thread % kColumnThreads * 4 + e] = sum[e];
    barrier();
    int column = block_index(0) * kDecodeTile + thread;
    if (thread < kDecodeTile && column < a.value_size) {
      float total = 0;
      for (int i = 0; i < kRows; i++)
        total += sums[i * kDecodeTile + thread];
      if (a.norm == kNoNorm)
        put(a, batch, head, column, total);
      else
        a.scratch[static_cast<int64_t>(n) * a.value_size + column] = total;
    }
    if (a.norm == kNoNorm)
      return;
    barrier();
    if (thread == 0)
      scratch[0] = count_block(a.counters + n) + 1 == static_cast<uint32_t>(block_count(0)) ? 1.0f : 0.0f;
    barrier();
    bool is_last = scratch[0] != 0.0f;
    barrier();
    if (!is_last)
      return;
    if (thread == 0)
      a.counters[n] = 0;
    finish(a, batch, head, scratch);
  }
};

} // namespace retnet::device
