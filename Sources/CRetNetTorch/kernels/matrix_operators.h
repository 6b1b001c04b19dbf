// What the operators with a matrix as their memory share: chunks, gate tables, checks of arguments.
#pragma once

#include "operators.h"

#include <cmath>

namespace ctorch {

// Calls body<A>() with the accumulator type `type`: float or double.
template <class Body> void with_accumulator(at::ScalarType type, Body &&body) {
  if (type == at::kDouble)
    body.template operator()<double>();
  else
    body.template operator()<float>();
}

struct Span {
  int64_t start, length;
};
inline std::vector<Span> spans(int64_t time, int64_t size) {
  std::vector<Span> result;
  for (int64_t start = 0; start < time; start += size)
    result.push_back({start, std::min(size, time - start)});
  return result;
}

inline at::Tensor merged(const at::Tensor &x) { return x.contiguous().reshape({-1, x.size(2), x.size(3)}); }
inline at::Tensor part(const at::Tensor &x, const Span &span) { return x.narrow(1, span.start, span.length); }
inline at::Tensor flipped(const at::Tensor &x) { return x.transpose(1, 2); }

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

// What is common to all arguments: q, k [B, G, T, K], v [B, H, T, V], H a multiple of G, state [B, H, K, V].
inline void check_matrix_state(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                               const at::Tensor &state) {
  TORCH_CHECK_VALUE(q.dim() == 4 && k.sizes() == q.sizes() && v.dim() == 4 && v.size(0) == q.size(0) &&
                        v.size(2) == q.size(2) && q.size(1) >= 1 && v.size(1) % q.size(1) == 0 && q.size(2) >= 1,
                    "queries ", q.sizes(), ", keys ", k.sizes(), " and values ", v.sizes(), " do not fit");
  TORCH_CHECK_VALUE(has_row_kernels(q) && has_row_kernels(k) && has_row_kernels(v),
                    "there is no kernel for ", q.scalar_type(), " on ", q.device());
  TORCH_CHECK_VALUE(!state.defined() || (state.dim() == 4 && state.size(0) == v.size(0) &&
                                         state.size(1) == v.size(1) && state.size(2) == q.size(3) &&
                                         state.size(3) == v.size(3)),
                    "the state ", state.sizes(), " does not fit queries ", q.sizes(), " and values ", v.sizes());
}
inline void check_one_type(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v) {
  TORCH_CHECK_TYPE(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
                   "queries, keys and values must have one element type");
}
inline void check_gates(const at::Tensor &gates, const at::Tensor &v, int64_t channels) {
  bool fits = gates.dim() == (channels ? 4 : 3) && gates.size(0) == v.size(0) && gates.size(1) == v.size(1) &&
              gates.size(2) == v.size(2) && (!channels || gates.size(3) == channels);
  TORCH_CHECK_VALUE(fits, "gates ", gates.sizes(), " do not fit values ", v.sizes());
}

} // namespace ctorch
