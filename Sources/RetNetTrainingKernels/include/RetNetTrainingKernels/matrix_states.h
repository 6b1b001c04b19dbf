// Kernels of mixers whose state is a matrix per head, with gates that depend on the data.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// The gates of one step.
enum GateKind : int32_t { kNoGate = 0, kHeadGate = 1, kChannelGate = 2 };

// The longest chunk of vector gates: running products over it take the place of exponentials of differences.
constexpr int64_t kGateChunk = 16;
// The longest chunk of the delta rule, whose cost grows with the square of it.
constexpr int64_t kDeltaChunk = 64;

// One chunk of one head with a gate for every key channel; rows of `size` channels, `length` <= kGateChunk.
template <class T> struct ChannelChunk {
  using Acc = typename Accumulator<T>::type;
  const T *q, *k;
  const Acc *log_gates;
  int64_t length, size;
};

// Gradients of the forward kernel's results of a chunk, and those of its inputs.
template <class T> struct ChannelGradients {
  using Acc = typename Accumulator<T>::type;
  const T *scores;   // [length, length]
  const T *queries;  // [length, size], of q times its gates
  const T *keys;     // [length, size], of k times the gates after it
  const Acc *total;  // [size], of the product of all gates
  T *q, *k;
  Acc *log_gates;
};

template <class T> struct MatrixStateKernels {
  using Acc = typename Accumulator<T>::type;

  // out[s] = scores[s] e^(gates[row] - gates[s]) for s <= row, zero beyond. `out` may be `scores`.
  void (*gate_row)(const T *scores, const double *gates, int64_t row, T *out, int64_t size);
  // The same, with the gradients of the gated scores in d: d becomes that of the scores. Adds d * out to sums over
  // the row (returned) and over columns.
  Acc (*gate_row_backward)(const T *scores, const double *gates, int64_t row, T *out, T *d, Acc *columns,
                           int64_t size);
  // out += factor * x
  void (*add_scaled)(T *out, Acc factor, const T *x, int64_t size);
  Acc (*dot)(const T *a, const T *b, int64_t size);
  Acc (*wide_dot)(const Acc *a, const Acc *b, int64_t size);

  // scores[t, i] = sum_c q_tc k_ic prod_(i<j<=t) gate_jc for i <= t, zero beyond; queries and keys with the gates
  // before and after them; the product of all gates. scratch: (length + 2) * size.
  void (*channel_forward)(const ChannelChunk<T> &chunk, T *scores, T *queries, T *keys, Acc *total, Acc *scratch);
  // scratch: (2 * length + 4) * size + length * size
  void (*channel_backward)(const ChannelChunk<T> &chunk, const ChannelGradients<T> &gradients, Acc *scratch);

  // One step on columns [0, size) of a state with row stride `stride`: S = g S, then with a delta rule
  // S += k^T beta (v - k S), else S += k^T v; o = q S. `gates` are logarithms. scratch: 3 * size + 2 * rows.
  void (*step)(const T *q, const T *k, const T *v, Acc *state, const Acc *gates, int32_t gate_kind, bool delta,
               Acc beta, T *out, int64_t rows, int64_t size, int64_t stride, Acc *scratch);

  // x = (I + M)^-1 x, or its transpose, for the part of M [length, length] below the diagonal, on columns
  // [0, size) of x with row stride `stride`.
  void (*substitute)(const Acc *m, Acc *x, bool transposed, int64_t length, int64_t size, int64_t stride);
};

} // namespace retnet
