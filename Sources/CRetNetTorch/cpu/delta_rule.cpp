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
// M grow through the solution. In training with values in 16 bits, products with states and with W are made in 16 bits, since those
// are most of the work; M, its solution and all sums stay float32. The arguments, W and e^g K S are kept for the backward pass.
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

// The sums of a b over all but the first axis.
at::Tensor inner_products(const at::Tensor &a, const at::Tensor &b) {
  int64_t count = a.size(0), size = a.numel() / count;
  auto sums = make::empty({count}, a.options().dtype(accumulator_type(a.scalar_type())));
  with_element(a.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    parallel_for(count, row_grain(size), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; n++)
        mutable_data<A>(sums)[n] = matrix_state_kernels<T>().dot(data<T>(a) + n * size, data<T>(b) + n * size, size);
    });
  });
  return sums;
}

// Products in the accumulator type, or made in 16 bits and stored in it.
struct DeltaProducts {
  at::ScalarType type;
  bool is_narrow;

  at::Tensor in(const at::Tensor &x) const { return x.to(type); }
  at::Tensor out(const at::Tensor &x) const { return is_narrow ? x.to(at::kFloat) : x; }
  // a b for operands of the type of products
  at::Tensor times(const at::Tensor &a, const at::Tensor &b) const { return out(a.bmm(b)); }
  // x + a b, in place
  at::Tensor add(at::Tensor x, const at::Tensor &a, const at::Tensor &b) const {
    if (!is_narrow)
      return x.baddbmm_(a, b);
    accumulate(x, at::Tensor(), a.bmm(b));
    return x;
  }
};

// One chunk of all heads, in the accumulator type; queries and keys in that of products too.
struct DeltaChunk {
  DeltaProducts products;
  GateTable gates;
  at::Tensor q, k, v, strength; // [N, L, ...], strength [N, L, 1]
  at::Tensor until, after;      // [N, L, 1]
  at::Tensor narrow_q, narrow_k;

  Groups groups() const { return {k.size(0), 1, k.size(2), v.size(2)}; }
  at::Tensor keys_after() const { return products.in(k * after); }
  at::Tensor queries_until() const { return products.in(q * until); }
  // The product of all gates times a state, plus a b; with narrow products the state is overwritten.
  at::Tensor faded(at::Tensor state, const at::Tensor &a, const at::Tensor &b) const {
    if (!products.is_narrow)
      return products.add(state * gates.whole.reshape({-1, 1, 1}), a, b);
    accumulate(state, gates.whole, a.bmm(b));
    return state;
  }
  // `written` in the type of products
  at::Tensor carried(const at::Tensor &state, const at::Tensor &written) const {
    return faded(state, flipped(keys_after()), written);
  }
};

struct Inputs {
  DeltaProducts products;
  at::Tensor q, k, v, logs, strengths, narrow_q, narrow_k;
  Inputs(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value, const at::Tensor &log_gates,
         const at::Tensor &strength, bool is_narrow) {
    auto type = accumulator_type(value.scalar_type());
    products = {is_narrow ? value.scalar_type() : type, is_narrow};
    q = merged(query.to(type)), k = merged(key.to(type)), v = merged(value.to(type));
    narrow_q = products.in(q), narrow_k = products.in(k);
    strengths = strength.to(type).contiguous().reshape({-1, strength.size(2)});
    logs = log_gates.defined() ? log_gates.to(type).contiguous().reshape(strengths.sizes())
                               : make::zeros_like(strengths);
  }
  // A state that may be overwritten where products are narrow.
  at::Tensor start(const at::Tensor &state) const {
    if (state.defined()) {
      auto merged = state.to(v.scalar_type()).contiguous().reshape({-1, k.size(2), v.size(2)});
      return products.is_narrow ? merged.clone() : merged;
    }
    return make::zeros({k.size(0), k.size(2), v.size(2)}, v.options());
  }
  DeltaChunk chunk(const Span &span) const {
    GateTable gates(logs, span);
    auto until = gates.until.unsqueeze(-1), after = gates.after.unsqueeze(-1);
    return {products, gates, part(q, span), part(k, span), part(v, span),
            strengths.narrow(1, span.start, span.length).unsqueeze(-1), until, after, part(narrow_q, span),
            part(narrow_k, span)};
  }
};
} // namespace

variable_list delta_rule(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                         const at::Tensor &log_gates, const at::Tensor &beta, const at::Tensor &state_in,
                         int64_t chunk, bool trains) {
  bool is_narrow = trains && value.scalar_type() == at::kBFloat16;
  auto forward = [&]() -> Pass {
    Inputs in(query, key, value, log_gates, beta, is_narrow);
    const auto &products = in.products;
    auto state = in.start(state_in);
    auto out = make::empty(value.sizes(), value.options()).reshape(in.v.sizes());
    auto written = make::empty(in.v.sizes(), in.v.options().dtype(products.type));
    auto expected = make::empty_like(written);
    for (auto span : spans(in.v.size(1), chunk)) {
      auto c = in.chunk(span);
      auto entering = products.in(state);
      auto m = gated_scores(c.k.bmm(flipped(c.k)), c.gates, c.groups()).mul_(c.strength);
      auto predicted = products.times(c.narrow_k, entering) * c.until;
      auto solved = ((c.v - predicted) * c.strength).contiguous();
      part(expected, span).copy_(predicted);
      substitute(m, solved, false);
      auto w = products.in(solved);
      auto scores = gated_scores(c.narrow_q.bmm(flipped(c.narrow_k)), c.gates, c.groups());
      part(out, span).copy_(scores.bmm(w).baddbmm_(c.queries_until(), entering));
      part(written, span).copy_(w);
      state = c.carried(state, w);
    }
    return {{out.reshape(value.sizes()), state.reshape({value.size(0), value.size(1), query.size(3), value.size(3)})},
            {query, key, value, log_gates, beta, state_in, written, expected}};
  };
  auto backward = [chunk, is_narrow](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &query = saved[0], &key = saved[1], &value = saved[2], &log_gates = saved[3], &beta = saved[4];
    const auto &state_in = saved[5], &written = saved[6], &expected = saved[7];
    Inputs in(query, key, value, log_gates, beta, is_narrow);
    const auto &products = in.products;
    auto d_out = gradients[0].defined() ? merged(gradients[0].to(products.type))
                                        : make::zeros(in.v.sizes(), in.v.options().dtype(products.type));
    auto parts = spans(in.v.size(1), chunk);
    auto state = in.start(state_in);
    std::vector<at::Tensor> states{products.in(state)}; // that enter the chunks, in the type of products
    for (size_t i = 0; i + 1 < parts.size(); i++) {
      state = in.chunk(parts[i]).carried(state, part(written, parts[i]));
      states.push_back(products.in(state));
    }
    auto u = in.start(gradients[1]);
    auto d_q = make::empty_like(in.q), d_k = make::empty_like(in.k), d_v = make::empty_like(in.v);
    auto d_logs = make::empty_like(in.logs), d_beta = make::empty_like(in.strengths);
    bool has_gates = log_gates.defined();
    for (size_t i = parts.size(); i-- > 0;) {
      auto span = parts[i];
      auto c = in.chunk(span);
      auto w = part(written, span), d_o = part(d_out, span);
      const auto &entering = states[i];
      auto leaving = products.in(u); // the gradient of the state that leaves

      // O = e^g Q S + P W and S' = e^(g_L) S + (e^(g_L - g) K)^T W
      auto balance = make::empty_like(c.gates.until);
      auto d_p = d_o.bmm(flipped(w));
      auto p = gated_scores_backward(c.narrow_q.bmm(flipped(c.narrow_k)), d_p, c.gates, c.groups(), balance);
      auto cross = products.times(d_o, flipped(entering)) * c.until;
      auto dq = products.add(cross.clone(), d_p, c.narrow_k);
      auto keeping = products.times(w, flipped(leaving)) * c.after;
      auto dk = products.add(keeping.clone(), flipped(d_p), c.narrow_q);

      // W = (I + M)^-1 diag(b) (V - e^g K S)
      auto raw = c.k.bmm(flipped(c.k));
      auto gated = gated_scores(raw.clone(), c.gates, c.groups());
      auto z = products.add(products.times(flipped(p), d_o), c.keys_after(), leaving).contiguous();
      substitute(gated * c.strength, z, true);
      auto d_m = products.times(products.in(z), flipped(w)).neg_().tril_(-1);
      auto predicted = products.out(part(expected, span));
      auto scaled = z * c.strength;
      auto d_beta_c = (z * (c.v - predicted)).sum(-1) + (d_m * gated).sum(-1);
      d_m.mul_(c.strength);
      auto m_balance = make::empty_like(balance);
      gated_scores_backward(raw, d_m, c.gates, c.groups(), m_balance);
      auto d_predicted = products.in((scaled * c.until).neg_());
      products.add(dk, d_predicted, flipped(entering));
      products.add(dk, products.in(d_m + flipped(d_m)), c.narrow_k);
      if (has_gates) {
        auto reading = balance + (cross * c.q).sum(-1);
        auto kept = (keeping * c.k).sum(-1);
        auto whole = inner_products(leaving, entering) * c.gates.whole;
        reading.add_(m_balance).sub_((scaled * predicted).sum(-1));
        d_logs.narrow(1, span.start, span.length).copy_(log_gradients(reading, kept, whole));
      }
      if (i > 0 || state_in.defined()) {
        // One product instead of two: each reads and writes a whole state.
        auto rows = make::joined({c.queries_until(), c.narrow_k}, 1), columns = make::joined({d_o, d_predicted}, 1);
        u = c.faded(u, flipped(rows), columns);
      }
      part(d_q, span).copy_(dq);
      part(d_k, span).copy_(dk);
      part(d_v, span).copy_(scaled);
      d_beta.narrow(1, span.start, span.length).copy_(d_beta_c);
    }
    at::Tensor d_state_in, d_gates;
    if (state_in.defined())
      d_state_in = u.reshape(state_in.sizes()).to(state_in.scalar_type());
    if (has_gates)
      d_gates = d_logs.reshape(log_gates.sizes()).to(log_gates.scalar_type());
    return {d_q.reshape(query.sizes()).to(query.scalar_type()),  d_k.reshape(key.sizes()).to(key.scalar_type()),
            d_v.reshape(value.sizes()).to(value.scalar_type()),  d_gates,
            d_beta.reshape(beta.sizes()).to(beta.scalar_type()), d_state_in};
  };
  return record({query, key, value, log_gates, beta, state_in}, forward, backward);
}

} // namespace ctorch::cpu
