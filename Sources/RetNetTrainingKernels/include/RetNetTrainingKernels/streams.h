// Kernels over parallel streams of hidden states.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

template <class T> struct StreamKernels {
  using Acc = typename Accumulator<T>::type;

  // out[r] = sum_j weights[r, j] in[j] for `rows` outputs and `columns` inputs of `size` elements, j ascending.
  void (*combine)(const T *const *in, const Acc *weights, T *const *out, int64_t rows, int64_t columns,
                  int64_t size);
  // in_gradient[j] = sum_r weights[r, j] gradient[r], and adds <gradient[r], in[j]> to weight_gradient[r, j].
  void (*combine_backward)(const T *const *in, const Acc *weights, const T *const *gradient,
                           T *const *in_gradient, double *weight_gradient, int64_t rows, int64_t columns,
                           int64_t size);

  // The term that all tokens of a group add to a1 x in Sequence-AltUp: from the anchor x and the layer's output y,
  // innovation = y - (a1 x + a2 x), base = a2 x + b innovation; `anchor` receives x.
  void (*group_base)(const T *x, const T *y, const Acc *coefficients, Acc *anchor, Acc *innovation, Acc *base,
                     int64_t size);
  // The same from an anchor and an innovation that are known already.
  void (*carried_base)(const Acc *anchor, const Acc *innovation, const Acc *coefficients, Acc *base, int64_t size);
  // out = a1 x + base.
  void (*group_row)(const T *x, const Acc *coefficients, const Acc *base, T *out, int64_t size);
  // total += gradient, x_gradient = a1 gradient; returns <gradient, x>.
  double (*group_row_backward)(const T *x, const T *gradient, const Acc *coefficients, Acc *total, T *x_gradient,
                               int64_t size);
  // Gradients of the anchor's row, given the total over its group and those of anchor and innovation from
  // outside. Adds to coefficient_gradient[3].
  void (*group_backward)(const T *x, const T *y, const T *gradient, const Acc *total, const Acc *anchor_gradient,
                         const Acc *innovation_gradient, const Acc *coefficients, T *x_gradient, T *y_gradient,
                         double *coefficient_gradient, int64_t size);
  // Gradients of a carried anchor and innovation; outside gradients as above.
  void (*carried_backward)(const Acc *anchor, const Acc *innovation, const Acc *total, const Acc *anchor_outside,
                           const Acc *innovation_outside, const Acc *coefficients, Acc *anchor_gradient,
                           Acc *innovation_gradient, double *coefficient_gradient, int64_t size);

  // out (+)= factor * x, and the scalar product, for rows sent to experts and back.
  void (*weighted_row)(const T *x, Acc factor, Acc *out, int64_t size);
  void (*store_row)(const Acc *x, T *out, int64_t size);
  void (*scaled_row)(const T *x, Acc factor, T *out, int64_t size);
  double (*dot)(const T *x, const T *y, int64_t size);
};

} // namespace retnet
