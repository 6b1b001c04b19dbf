// Kernels of averages with exponential weights, over blocks of channels.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// Where the tokens that a window looks back to lie. Rows of keys and values have `stride` elements; the token
// `lag` steps before new token t is new token t - lag, or else entry end + t - lag of the history.
struct WindowShape {
  int64_t length, stride;           // new tokens
  int64_t start, end, past_stride;  // valid entries of the history
  int64_t window;                   // lags that have a bias; older tokens are in the sums
  int64_t bias_step, bias_lag;      // bias of token t and lag j at t * bias_step + j * bias_lag
  bool absorbs;                     // true if tokens that leave the window go to the sums
};

template <class T> struct AverageKernels {
  using Acc = typename Accumulator<T>::type;

  // y_t = (A_t + e^(u + k_t) v_t) / (B_t + e^(u + k_t));  A_{t+1} = e^-w A_t + e^k_t v_t, B likewise.
  void (*wkv_forward)(const T *k, const T *v, const Acc *w, const Acc *u, RunningSums<Acc> sums, T *y,
                      int64_t length, int64_t stride, int64_t size);
  // Gradients of all inputs given those of y and of the sums afterwards. Adds to w_gradient and u_gradient;
  // overwrites sums_gradient with the gradients of the sums before. scratch: 3 * length * kAverageBlock.
  void (*wkv_backward)(const T *k, const T *v, const Acc *w, const Acc *u, RunningSums<Acc> sums,
                       const T *y_gradient, RunningSums<Acc> sums_gradient, T *k_gradient, T *v_gradient,
                       Acc *w_gradient, Acc *u_gradient, Acc *scratch, int64_t length, int64_t stride, int64_t size);

  // y_t = (A + sum_j e^(k_j + bias_tj) v_j) / (B + sum_j e^(k_j + bias_tj)) over the lags j of the window.
  void (*window_forward)(const T *k, const T *v, const T *past_k, const T *past_v, const Acc *bias,
                         RunningSums<Acc> sums, T *y, const WindowShape &shape, int64_t size);
  // Adds to the gradients of keys, values (in the accumulator type) and biases; sums as in wkv_backward.
  void (*window_backward)(const T *k, const T *v, const T *past_k, const T *past_v, const Acc *bias,
                          RunningSums<Acc> sums, const T *y_gradient, RunningSums<Acc> sums_gradient,
                          Acc *k_gradient, Acc *v_gradient, Acc *past_k_gradient, Acc *past_v_gradient,
                          Acc *bias_gradient, Acc *scratch, const WindowShape &shape, int64_t size);
};

} // namespace retnet
