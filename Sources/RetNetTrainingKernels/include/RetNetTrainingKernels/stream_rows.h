// Row kernels of encoder-decoder models: softmax with additive biases, norms over a wide residual stream and the
// cross entropy of large vocabularies.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// Which keys of a row count: the first `valid` ones, and with segments those of the query's own (which is not 0).
struct KeyRange {
  const int32_t *segments;
  int32_t segment;
  int64_t valid;
};

// T: branches, scores and logits. S: the residual stream, T itself or its accumulator.
template <class T, class S> struct StreamRows {
  using Acc = typename Accumulator<T>::type;

  // sum = x + branch; branch == NULL copies.
  void (*residual_add)(const S *x, const T *branch, S *sum, int64_t size);
  // out = RMS norm, or with a bias layer norm, of (x + branch), which is kept in `sum`; without a branch, x is the sum and
  // `sum` is not written.
  void (*residual_norm)(const S *x, const T *branch, const Acc *weight, const Acc *bias, Acc epsilon, S *sum, T *out,
                        int64_t size);
  // x_gradient = sum_gradient (may be NULL) + that through the norm, branch_gradient (may be NULL) the same; adds to
  // weight_gradient and, of a layer norm, to bias_gradient.
  void (*residual_norm_backward)(const S *sum, const Acc *weight, Acc epsilon, const T *out_gradient,
                                 const S *sum_gradient, S *x_gradient, T *branch_gradient, Acc *weight_gradient,
                                 Acc *bias_gradient, int64_t size);
};

template <class T> struct ScoreRows {
  using Acc = typename Accumulator<T>::type;

  // Scores become the softmax of scores + bias (may be NULL) in place; other keys get 0, as does a row without keys.
  void (*softmax)(T *scores, const Acc *bias, KeyRange keys, int64_t size, Acc *scratch);
  // dp, the gradient by the probabilities, becomes that by the scores in place and is added to bias_gradient.
  void (*softmax_backward)(const T *p, T *dp, Acc *bias_gradient, int64_t valid, int64_t size);
  // out = softmax(q k_j + bias_j) v_j for one query; rows of keys and values are `stride` apart.
  void (*attend)(const T *query, const T *key, const T *value, int64_t stride, const Acc *bias, KeyRange keys,
                 int64_t size, T *out, Acc *scratch);
  // The logarithm of the sum of exponentials.
  Acc (*log_sum)(const T *logits, int64_t size);
  // gradient = factor * exp(logits - log_sum)
  void (*log_sum_backward)(const T *logits, Acc log_sum, Acc factor, T *gradient, int64_t size);
};

} // namespace retnet
