// The delta rule, with or without a gate per head and position, chunkwise, with hand-written gradients, for
// processors.
//
//   S_t = a_t S_(t-1) + b_t k_t^T (v_t - a_t k_t S_(t-1)),   o_t = q_t S_t
//
// DeltaNet (arXiv 2406.06484) and Gated DeltaNet (arXiv 2412.06464). With g the running sum of log a within a
// chunk, G[t, i] = e^(g_t - g_i) for i <= t, M the part of diag(b) (K K^T * G) below the diagonal and S the state
// entering, the values written at each position are the solution W of
//
//   (I + M) W = diag(b) (V - e^g K S),      O = e^g Q S + (Q K^T * G) W,      S' = e^(g_L) S + (e^(g_L - g) K)^T W
//
// by forward substitution: the product of log-many powers of M, equal on paper, loses all digits once keys are
// correlated. Everything is float32 at least (float64 for float64 inputs), whatever the type of q, k, v: errors of
// M grow through the solution. The arguments and W are kept for the backward pass.
#include "matrix_states.h"

namespace ctorch::cpu {
namespace {

void substitute(const at::Tensor &m, at::Tensor &x, bool transposed) {
  int64_t length = x.size(1), size = x.size(2), slices = std::max<int64_t>(1, std::min<int64_t>(size / 64, 8));
  with_accumulator(x.scalar_type(), [&]<class A>() {
    const A *mp = data<A>(m);
    A *xp = mutable_data<A>(x);
    parallel_for(x.size(0) * slices, row_grain(length * size / slices), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / slices, slice = i % slices;
        int64_t first = size * slice / slices, last = size * (slice + 1) / slices;
        matrix_state_kernels<A>().substitute(mp + n * length * length, xp + n * length * size + first, transposed,
                                             length, last - first, size);
      }
    });
  });
}

// One chunk of all heads, in the accumulator type.
struct DeltaChunk {
  GateTable gates;
  at::Tensor q, k, v, strength; // [N, L, ...], strength [N, L, 1]
  at::Tensor until, after;      // [N, L, 1]

  DeltaChunk(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &logs,
             const at::Tensor &beta, const Span &span)
      : gates(logs, span), q(part(q, span)), k(part(k, span)), v(part(v, span)),
        strength(beta.narrow(1, span.start, span.length).unsqueeze(-1)), until(gates.until.unsqueeze(-1)),
        after(gates.after.unsqueeze(-1)) {}

  Groups groups() const { return {k.size(0), 1, k.size(2), v.size(2)}; }
  at::Tensor whole() const { return gates.whole.reshape({-1, 1, 1}); }
  at::Tensor carried(const at::Tensor &state, const at::Tensor &written) const {
    return (state * whole()).baddbmm(flipped(k * after), written);
  }
};

struct Inputs {
  at::Tensor q, k, v, logs, strengths;
  Inputs(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value, const at::Tensor &log_gates,
         const at::Tensor &strength) {
    auto type = accumulator_type(value.scalar_type());
    q = merged(query.to(type)), k = merged(key.to(type)), v = merged(value.to(type));
    strengths = strength.to(type).contiguous().reshape({-1, strength.size(2)});
    logs = log_gates.defined() ? log_gates.to(type).contiguous().reshape(strengths.sizes())
                               : make::zeros_like(strengths);
  }
  at::Tensor start(const at::Tensor &state) const {
    if (state.defined())
      return state.to(v.scalar_type()).contiguous().reshape({-1, k.size(2), v.size(2)});
    return make::zeros({k.size(0), k.size(2), v.size(2)}, v.options());
  }
  DeltaChunk chunk(const Span &span) const { return DeltaChunk(q, k, v, logs, strengths, span); }
};
} // namespace

variable_list delta_rule(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                         const at::Tensor &log_gates, const at::Tensor &beta, const at::Tensor &state_in,
                         int64_t chunk) {
  auto forward = [&]() -> Pass {
    Inputs in(query, key, value, log_gates, beta);
    auto state = in.start(state_in);
    auto out = make::empty(value.sizes(), value.options()).reshape(in.v.sizes());
    auto written = make::empty_like(in.v);
    for (auto span : spans(in.v.size(1), chunk)) {
      auto c = in.chunk(span);
      auto m = gated_scores(c.k.bmm(flipped(c.k)), c.gates, c.groups()).mul_(c.strength);
      auto w = ((c.v - c.k.bmm(state) * c.until) * c.strength).contiguous();
      substitute(m, w, false);
      auto scores = gated_scores(c.q.bmm(flipped(c.k)), c.gates, c.groups());
      part(out, span).copy_(scores.bmm(w).baddbmm_(c.q * c.until, state));
      part(written, span).copy_(w);
      state = c.carried(state, w);
    }
    return {{out.reshape(value.sizes()), state.reshape({value.size(0), value.size(1), query.size(3), value.size(3)})},
            {query, key, value, log_gates, beta, state_in, written}};
  };
  auto backward = [chunk](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &query = saved[0], &key = saved[1], &value = saved[2], &log_gates = saved[3], &beta = saved[4];
    const auto &state_in = saved[5], &written = saved[6];
    Inputs in(query, key, value, log_gates, beta);
    auto d_out = gradients[0].defined() ? merged(gradients[0].to(in.v.scalar_type())) : make::zeros_like(in.v);
    auto parts = spans(in.v.size(1), chunk);
    std::vector<at::Tensor> states{in.start(state_in)};
    for (size_t i = 0; i + 1 < parts.size(); i++)
      states.push_back(in.chunk(parts[i]).carried(states[i], part(written, parts[i])));
    auto u = in.start(gradients[1]);
    auto d_q = make::empty_like(in.q), d_k = make::empty_like(in.k), d_v = make::empty_like(in.v);
    auto d_logs = make::empty_like(in.logs), d_beta = make::empty_like(in.strengths);
    for (size_t i = parts.size(); i-- > 0;) {
      auto span = parts[i];
      auto c = in.chunk(span);
      auto w = part(written, span), d_o = part(d_out, span);
      const auto &s = states[i];
      auto k_after = c.k * c.after, q_until = c.q * c.until;

      // O = e^g Q S + P W and S' = e^(g_L) S + (e^(g_L - g) K)^T W
      auto balance = make::empty_like(c.gates.until);
      auto d_p = d_o.bmm(flipped(w));
      auto p = gated_scores_backward(c.q.bmm(flipped(c.k)), d_p, c.gates, c.groups(), balance);
      auto cross = d_o.bmm(flipped(s)) * c.until;
      auto dq = cross.baddbmm(d_p, c.k);
      auto reading = balance + (cross * c.q).sum(-1);
      auto keeping = w.bmm(flipped(u)) * c.after;
      auto dk = keeping.baddbmm(flipped(d_p), c.q);
      auto kept = (keeping * c.k).sum(-1);
      auto whole = (u * s).sum(at::IntArrayRef{1, 2}) * c.gates.whole;

      // W = (I + M)^-1 diag(b) (V - e^g K S)
      auto raw = c.k.bmm(flipped(c.k));
      auto gated = gated_scores(raw.clone(), c.gates, c.groups());
      auto z = flipped(p).bmm(d_o).baddbmm_(k_after, u).contiguous();
      substitute(gated * c.strength, z, true);
      auto d_m = z.bmm(flipped(w)).neg_().tril_(-1);
      auto predicted = c.k.bmm(s) * c.until;
      auto scaled = z * c.strength;
      auto d_beta_c = (z * (c.v - predicted)).sum(-1) + (d_m * gated).sum(-1);
      d_m.mul_(c.strength);
      gated_scores_backward(raw, d_m, c.gates, c.groups(), balance);
      reading.add_(balance).sub_((scaled * predicted).sum(-1));
      auto d_predicted = scaled * c.until; // less than nothing: the sign is applied below
      dk.baddbmm_(d_predicted, flipped(s), 1, -1).baddbmm_(d_m, c.k).baddbmm_(flipped(d_m), c.k);

      u = (u * c.whole()).baddbmm_(flipped(q_until), d_o).baddbmm_(flipped(c.k), d_predicted, 1, -1);
      part(d_q, span).copy_(dq);
      part(d_k, span).copy_(dk);
      part(d_v, span).copy_(scaled);
      d_logs.narrow(1, span.start, span.length).copy_(log_gradients(reading, kept, whole));
      d_beta.narrow(1, span.start, span.length).copy_(d_beta_c);
    }
    at::Tensor d_state_in, d_gates;
    if (state_in.defined())
      d_state_in = u.reshape(state_in.sizes()).to(state_in.scalar_type());
    if (log_gates.defined())
      d_gates = d_logs.reshape(log_gates.sizes()).to(log_gates.scalar_type());
    return {d_q.reshape(query.sizes()).to(query.scalar_type()),  d_k.reshape(key.sizes()).to(key.scalar_type()),
            d_v.reshape(value.sizes()).to(value.scalar_type()),  d_gates,
            d_beta.reshape(beta.sizes()).to(beta.scalar_type()), d_state_in};
  };
  return record({query, key, value, log_gates, beta, state_in}, forward, backward);
}

} // namespace ctorch::cpu
