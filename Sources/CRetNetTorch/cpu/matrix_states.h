// Shared by operators with a matrix as their state: gated scores and gradients of gates.
#pragma once

#include "operators.h"

#include <cmath>

namespace ctorch::cpu {

// Calls body<A>() with the accumulator type `type`: float or double.
template <class Body> void with_accumulator(at::ScalarType type, Body &&body) {
  if (type == at::kDouble)
    body.template operator()<double>();
  else
    body.template operator()<float>();
}

// The smallest logarithm of a gate that is told from 0: e^-1000 is 0 in every type, and sums of it stay exact.
constexpr double kSmallestLog = -1000;

// Sums of log gates within a chunk, in float64 so that their differences keep every digit.
struct GateTable {
  at::Tensor sums;  // [N, L] float64, inclusive
  at::Tensor until; // [N, L]: e^sum, the product of all gates up to and with the position
  at::Tensor after; // [N, L]: the product of all gates after the position
  at::Tensor whole; // [N]

  // log_gates [N, T], contiguous, in the accumulator type.
  GateTable(const at::Tensor &log_gates, const Span &span);
};

// The heads of all sequences as `groups` groups of `share` heads with common queries and keys.
struct Groups {
  int64_t groups, share, key_size, value_size;
  int64_t heads() const { return groups * share; }
};

// scores [groups, L, L] -> scores times the products of gates between key and query [heads, L, L], zero above the
// diagonal; in place where every head has its own.
at::Tensor gated_scores(const at::Tensor &scores, const GateTable &gates, const Groups &g);

// The same with the gradients d [heads, L, L] of the gated scores, which become those of the scores. Writes the
// sums over rows less those over columns of their products into `balance` [heads, L].
at::Tensor gated_scores_backward(const at::Tensor &scores, at::Tensor &d, const GateTable &gates, const Groups &g,
                                 at::Tensor &balance);

// Gradients of log gates [heads, L]: sums of `reading` from each position on, of `kept` before it, and `whole`.
at::Tensor log_gradients(const at::Tensor &reading, const at::Tensor &kept, const at::Tensor &whole);

} // namespace ctorch::cpu
