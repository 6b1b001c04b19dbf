#include "retention_definition.h"

#include <cmath>

namespace retnet::emulation {

// S_t = a_t S_(t-1) + k_t^T v_t,  o_t = q_t S_t.
void RetentionDefinition::run_forward() {
  size_t state_size = size_t(key_size) * value_size, rows = size_t(batch) * heads;
  out.assign(rows * time * value_size, 0);
  state_out = state_in.empty() ? std::vector<double>(rows * state_size, 0) : state_in;
  for (size_t n = 0; n < rows; n++) {
    size_t group = n / heads * groups + n % heads / (heads / groups);
    double *s = state_out.data() + n * state_size;
    for (int t = 0; t < time; t++) {
      const double *key = k.data() + (group * time + t) * key_size, *query = q.data() + (group * time + t) * key_size;
      const double *value = v.data() + (n * time + t) * value_size;
      double *o = out.data() + (n * time + t) * value_size, decay = std::exp(log_gates[n * time + t]);
      for (int i = 0; i < key_size; i++) {
        double *row = s + size_t(i) * value_size, x = key[i], y = query[i];
        for (int j = 0; j < value_size; j++) {
          row[j] = decay * row[j] + x * value[j];
          o[j] += y * row[j];
        }
      }
    }
  }
}

// With G_t the gradient by S_t:  G_t = q_t^T do_t + a_(t+1) G_(t+1),  dq_t = S_t do_t,  dk_t = G_t v_t,  dv_t = k_t G_t,
// dln a_t = a_t <S_(t-1), G_t>.
void RetentionDefinition::run_backward(bool needs_gates) {
  size_t state_size = size_t(key_size) * value_size, rows = size_t(batch) * heads;
  dq.assign(rows * time * key_size, 0), dk = dq;
  dv.assign(rows * time * value_size, 0);
  d_log_gates.assign(rows * time, 0);
  d_state_in = d_state_out.empty() ? std::vector<double>(rows * state_size, 0) : d_state_out;
  std::vector<double> s(state_size), before;
  for (size_t n = 0; n < rows; n++) {
    size_t group = n / heads * groups + n % heads / (heads / groups);
    auto query = [&](int t) { return q.data() + (group * time + t) * key_size; };
    auto key = [&](int t) { return k.data() + (group * time + t) * key_size; };
    auto value = [&](int t) { return v.data() + (n * time + t) * value_size; };
    auto d = [&](int t) { return d_out.data() + (n * time + t) * value_size; };
    std::fill(s.begin(), s.end(), 0.0);
    if (!state_in.empty())
      s.assign(state_in.begin() + n * state_size, state_in.begin() + (n + 1) * state_size);
    before.clear();
    for (int t = 0; t < time; t++) {
      if (needs_gates)
        before.insert(before.end(), s.begin(), s.end());
      double decay = std::exp(log_gates[n * time + t]);
      for (int i = 0; i < key_size; i++) {
        double *row = s.data() + size_t(i) * value_size, sum = 0, x = key(t)[i];
        const double *y = value(t), *z = d(t);
        for (int j = 0; j < value_size; j++) {
          row[j] = decay * row[j] + x * y[j];
          sum += row[j] * z[j];
        }
        dq[(n * time + t) * key_size + i] = sum;
      }
    }
    double *g = d_state_in.data() + n * state_size;
    for (int t = time - 1; t >= 0; t--) {
      double decay = std::exp(log_gates[n * time + t]), gate = 0;
      const double *old = needs_gates ? before.data() + size_t(t) * state_size : nullptr;
      for (int i = 0; i < key_size; i++) {
        double *row = g + size_t(i) * value_size, sum = 0, x = query(t)[i], w = key(t)[i];
        const double *y = value(t), *z = d(t);
        double *target = dv.data() + (n * time + t) * value_size;
        for (int j = 0; j < value_size; j++) {
          row[j] += x * z[j];
          sum += row[j] * y[j];
          target[j] += w * row[j];
          if (old)
            gate += row[j] * old[size_t(i) * value_size + j];
          row[j] *= decay;
        }
        dk[(n * time + t) * key_size + i] = sum;
      }
      d_log_gates[n * time + t] = decay * gate;
    }
  }
}

} // namespace retnet::emulation
