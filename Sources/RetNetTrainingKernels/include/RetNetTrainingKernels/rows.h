// Kernels over single rows.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

template <class T> struct RowKernels {
  using Acc = typename Accumulator<T>::type;

  // out[pair] = rotation of x[pair] by (cos, sin), times scale; `sign` = -1 rotates backwards.
  void (*rotate)(const T *x, const Acc *cosine, const Acc *sine, Acc sign, Acc scale, bool interleaved, T *out,
                 int64_t size);
  // row[s] *= powers[s] for s < valid, zero beyond: a select, so no power of a decay rounded to 1 leaks.
  void (*decay_mask)(T *row, const Acc *powers, int64_t valid, int64_t size);
  void (*scale)(const T *x, Acc factor, T *out, int64_t size);
  // out = factor * x, from the accumulator type.
  void (*store)(const Acc *x, Acc factor, T *out, int64_t size);
  // total = factor * total + addend, with a wider running total.
  void (*accumulate)(Acc *total, Acc factor, const T *addend, int64_t size);

  void (*norm_forward)(const T *x, const T *gate, const Acc *weight, const Acc *bias, Acc epsilon, int32_t kind,
                       int32_t activation, T *out, int64_t size);
  // Adds to weight_gradient and bias_gradient where they are given.
  void (*norm_backward)(const T *x, const T *gate, const Acc *weight, const Acc *bias, Acc epsilon, int32_t kind,
                        int32_t activation, const T *out_gradient, T *x_gradient, T *gate_gradient,
                        Acc *weight_gradient, Acc *bias_gradient, Acc *scratch, int64_t size);

  void (*gated_forward)(const T *a, const T *b, int32_t activation, T *out, int64_t size);
  void (*gated_backward)(const T *a, const T *b, int32_t activation, const T *out_gradient, T *a_gradient,
                         T *b_gradient, int64_t size);

  // One recurrent retention step on columns [0, size) of a state with row stride `stride`:
  // S = gamma S + k^T v,  o = q S.
  void (*retention_step)(const T *q, const T *k, const T *v, Acc *state, Acc gamma, T *out, int64_t rows,
                         int64_t size, int64_t stride, Acc *scratch);
};

} // namespace retnet
