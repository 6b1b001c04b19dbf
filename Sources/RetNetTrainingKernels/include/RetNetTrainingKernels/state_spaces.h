// Kernels of long convolutions and of diagonal state spaces.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// One head of one sequence of state spaces over outer products (H3).
template <class T> struct HeadSequence {
  using Acc = typename Accumulator<T>::type;
  const T *q, *k, *v;       // [time, size] at a row stride
  int64_t stride, time, size;
  int64_t planes;           // 2 M: real parts, then imaginary parts
  int64_t chunk, block;
  const Acc *taps;          // [chunk]
  const Acc *read, *write;  // [block, planes]
  const Acc *power;         // [block + 1, planes]
  const Acc *state;         // [planes, size * size], or null for zeros
};

// Gradients given and wanted for one head of one sequence; the tables' ones are added to.
template <class T> struct HeadGradients {
  using Acc = typename Accumulator<T>::type;
  const T *y;               // [time, size] at the row stride
  const Acc *final;         // [planes, size * size], or null for zeros
  T *q, *k, *v;
  Acc *taps;                // [chunk]
  Acc *read, *write, *power; // rows of padded(planes)
  Acc *start;               // [planes, size * size], or null where it is not wanted
};

// Taps of a correlation that output i needs: begin + i * begin_step ..< end + i * end_step. The signal is zero at all others.
struct TapRange {
  int64_t begin, begin_step, end, end_step;
};

template <class T> struct StateSpaceKernels {
  using Acc = typename Accumulator<T>::type;

  // out[i] += sum_j taps[j] signal[i * out_step + j * tap_step], rows of kPadding channels.
  void (*correlate)(const Acc *taps, const Acc *signal, int64_t tap_count, int64_t out_step, int64_t tap_step,
                    TapRange range, Acc *out, int64_t out_count);
  // out[c] += taps[c] * signal[c]
  void (*accumulate_products)(const Acc *taps, const T *signal, Acc *out, int64_t size);

  // One step of `rows` sequences with M complex modes each, all rows [re | im]: x += alpha x + input u,
  // y = 2 Re(readout x).
  void (*diagonal_step)(const Acc *u, Acc *state, const Acc *alpha, const Acc *input, const Acc *readout, Acc *y,
                        int64_t rows, int64_t modes);
  // One step of one head: the state [planes, size * size] in place. scratch: 2 * size * size.
  void (*head_step)(const T *q, const T *k, const T *v, Acc *state, const Acc *alpha, const Acc *input,
                    const Acc *readout, Acc skip, T *y, int64_t size, int64_t modes, Acc *scratch);

  // Elements of scratch that the two following need.
  int64_t (*head_scratch)(int64_t time, int64_t size, int64_t planes, int64_t chunk, int64_t block, bool backward);
  // `final`: the state after the last position, or null where nobody needs it.
  void (*head_forward)(const HeadSequence<T> &head, T *y, Acc *final, Acc *scratch);
  void (*head_backward)(const HeadSequence<T> &head, const HeadGradients<T> &gradients, Acc *scratch);
};

} // namespace retnet
