// Chunkwise retention of one head, with what stands around it in a layer: rotation and scale before, norm and gate behind.
#pragma once

#include "attention.h"

namespace retnet {

// Entries before and behind the powers of a decay, so that whole vectors can be read.
constexpr int64_t kPowerSlack = 64;

// One head of one sequence.
//
// With local row r of a chunk of length L, the state R entering it, A = (Q K^T) * D, D[r, s] = g^(r-s) for s <= r:
//
//   O_r = (A V)_r + g^(r+1) Q_r R        R' = g^L R + sum_s g^(L-1-s) K_s^T V_s        Y = norm(O) * activation(gate)
template <class T> struct RetentionJob {
  using Acc = typename Accumulator<T>::type;

  int64_t time, chunk, key_size, value_size;
  Rows<const T> query, key, value;
  // Rotation of queries and keys by position, [time][key_size / 2] each, or NULL; then keys are multiplied by `key_scale`.
  const Acc *cosine, *sine;
  bool interleaved;
  Acc key_scale;
  const Acc *powers;  // g^0 ... g^chunk, kPowerSlack readable entries on both sides
  const Acc *state;   // [key_size][value_size], or NULL for none
  Acc *next_state;    // the state behind the last position, or NULL where nobody needs it
  Rows<T> out;        // O

  // Norm and gate: with `normed.data` NULL there are none. Without a gate its data is NULL.
  Rows<T> normed;
  Rows<const T> gate;
  const Acc *epsilons; // of every position, `epsilon_step` apart
  int64_t epsilon_step;
  const Acc *weight, *bias; // [value_size] or NULL
  int32_t norm_kind, activation;

  // Scores normalized by the absolute value of their sum, q_n . z_n with z_n = g z_(n-1) + k_n, in the forward pass: the
  // epsilon of every position becomes the larger one of the given and `sum_epsilon` times the square of the sum, and is
  // written to `folded` [time]; the backward pass takes those as its epsilons. NULL: no such sums.
  Acc *folded;
  Acc sum_epsilon;
  const Acc *key_sum; // z before the first position, [key_size], or NULL for zeros
  Acc *next_key_sum;  // behind the last position, or NULL
};

// Gradients of the same. O comes from the forward pass.
template <class T> struct RetentionGradients {
  using Acc = typename Accumulator<T>::type;

  Rows<const T> out_gradient;   // by Y, or by O where there is no norm
  const Acc *next_gradient;     // by the state behind the last position, or NULL
  Rows<T> query, key, value, gate;
  Acc *state;        // by the first state, or NULL where nobody needs it
  Acc *weight, *bias; // added to; NULL where there is none
};

template <class T> struct RetentionKernels {
  // Bytes of work space, which is aligned to 64 bytes and need not be cleared.
  int64_t (*forward_scratch)(const RetentionJob<T> &job);
  void (*forward)(const RetentionJob<T> &job, void *scratch);
  int64_t (*backward_scratch)(const RetentionJob<T> &job);
  void (*backward)(const RetentionJob<T> &job, const RetentionGradients<T> &gradients, void *scratch);
};

} // namespace retnet
