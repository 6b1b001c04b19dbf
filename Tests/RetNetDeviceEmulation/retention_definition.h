// Retention with fixed decays or gates, step by step in float64, and its gradients.
#pragma once

#include <vector>

namespace retnet::emulation {

// All tensors are contiguous, in the orders that the comments say.
struct RetentionDefinition {
  int batch, heads, groups, time, key_size, value_size;
  std::vector<double> q, k;      // [B, G, T, A]
  std::vector<double> v;         // [B, H, T, V]
  std::vector<double> log_gates; // [B, H, T]
  std::vector<double> state_in;  // [B, H, A, V], or empty for zero

  std::vector<double> out, state_out;

  std::vector<double> d_out, d_state_out; // given; the latter may be empty
  std::vector<double> dq, dk;             // [B, H, T, A]
  std::vector<double> dv, d_state_in, d_log_gates;

  void run_forward();
  // After run_forward(); `needs_gates`: keeps the states of all tokens.
  void run_backward(bool needs_gates);
};

} // namespace retnet::emulation
