// Retention with a gate per head and position, chunkwise, with hand-written gradients, for processors.
//
//   S_t = a_t S_(t-1) + k_t^T v_t,   o_t = q_t S_t
//
// YOCO's gated retention (arXiv 2405.05254) and Mamba-2's state space duality (arXiv 2405.21060), where queries and
// keys may be shared by the heads of a group. With g the running sum of log a within a chunk, P = Q K^T,
// A = P * e^(g_t - g_s) for s <= t, R the state entering and U the gradient of the one leaving:
//
//   O = A V + e^g (Q R)                  R' = e^(g_L) R + K^T (e^(g_L - g) V)
//   dP = (dO V^T) * e^(g_t - g_s)        M  = dP * P
//   dlog a_t = sum of M[r, s] over s < t <= r, of dO_r . e^(g_r) q_r R over r >= t, of v_s . e^(g_L - g_s) k_s U
//              over s < t, and e^(g_L) <U, R>
//
// Only the arguments are kept for the backward pass. Sums of logarithms are float64; states are float32 (float64
// for float64 inputs) whatever the type of q, k, v. For the shape of dQ, dK, dV see ops/retention.cpp.
#include "matrix_states.h"

namespace ctorch::cpu {
namespace {

// Rows x [heads, L, V] times factors [heads, L], as [groups, L, share * V].
at::Tensor side_by_side(const at::Tensor &x, const at::Tensor &factors, const Groups &g) {
  int64_t length = x.size(1), size = x.size(2);
  auto out = make::empty({g.groups, length, g.share * size}, x.options());
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *from = data<T>(x);
    const A *factor = data<A>(factors);
    T *to = mutable_data<T>(out);
    int64_t outer = x.stride(0), inner = x.stride(1);
    parallel_for(g.heads() * length, row_grain(size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / length, r = i % length;
        row_kernels<T>().scale(from + n * outer + r * inner, factor[i],
                               to + ((n / g.share * length + r) * g.share + n % g.share) * size, size);
      }
    });
  });
  return out;
}

// Adds rows x [groups, L, share * V] times factors [heads, L] to `out` [heads, L, V], contiguous. Where `other`
// [heads, L, V] is given, writes factor * (other . x) of every row into `products` [heads, L].
void add_rows(at::Tensor &out, const at::Tensor &x, const at::Tensor &factors, const Groups &g,
              const at::Tensor &other, at::Tensor products) {
  int64_t length = factors.size(1), size = g.value_size;
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *from = data<T>(x), *o = data<T>(other);
    const A *factor = data<A>(factors);
    T *to = mutable_data<T>(out);
    A *p = mutable_data<A>(products);
    const auto &kernels = matrix_state_kernels<T>();
    int64_t outer = o ? other.stride(0) : 0, inner = o ? other.stride(1) : 0;
    parallel_for(g.heads() * length, row_grain(size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / length, r = i % length;
        const T *row = from + ((n / g.share * length + r) * g.share + n % g.share) * size;
        if (to)
          kernels.add_scaled(to + i * size, factor[i], row, size);
        if (o)
          p[i] = factor[i] * kernels.dot(o + n * outer + r * inner, row, size);
      }
    });
  });
}

// total = (product of the chunk's gates) total + addend; [groups, K, share * V], total in place.
void carry_gated(at::Tensor &total, const at::Tensor &addend, const GateTable &gates, const Groups &g) {
  with_element(addend.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    A *t = mutable_data<A>(total);
    const T *s = data<T>(addend);
    const A *whole = data<A>(gates.whole);
    int64_t count = g.groups * g.key_size * g.share;
    parallel_for(count, row_grain(g.value_size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / (g.key_size * g.share) * g.share + i % g.share;
        row_kernels<T>().accumulate(t + i * g.value_size, whole[n], s + i * g.value_size, g.value_size);
      }
    });
  });
}

// (product of the chunk's gates) <a, b> of every head, [heads], for states laid out as above.
at::Tensor gated_products(const at::Tensor &a, const at::Tensor &b, const GateTable &gates, const Groups &g) {
  std::array<int64_t, 4> shape{g.groups, g.key_size, g.share, g.value_size};
  auto sums = (a.reshape(shape) * b.reshape(shape)).sum(at::IntArrayRef{1, 3}).reshape({g.heads()});
  return sums * gates.whole;
}

// [B, H, K, V] to and from [groups, K, share * V].
at::Tensor interleaved(const at::Tensor &state, const Groups &g) {
  auto split = state.reshape({g.groups, g.share, g.key_size, g.value_size});
  return split.permute({0, 2, 1, 3}).reshape({g.groups, g.key_size, g.share * g.value_size});
}
at::Tensor separated(const at::Tensor &state, const Groups &g, int64_t batch) {
  auto split = state.reshape({g.groups, g.key_size, g.share, g.value_size});
  return split.permute({0, 2, 1, 3}).reshape({batch, -1, g.key_size, g.value_size});
}

Groups groups_of(const at::Tensor &query, const at::Tensor &value) {
  return {query.size(0) * query.size(1), value.size(1) / query.size(1), query.size(3), value.size(3)};
}
at::Tensor logs_of(const at::Tensor &log_gates, const at::Tensor &query) {
  return log_gates.to(accumulator_type(query.scalar_type())).contiguous().reshape({-1, log_gates.size(2)});
}
at::Tensor start_of(const at::Tensor &state, const at::Tensor &query, const Groups &g) {
  auto type = accumulator_type(query.scalar_type());
  if (state.defined())
    return interleaved(state.to(type), g).clone(at::MemoryFormat::Contiguous);
  return make::zeros({g.groups, g.key_size, g.share * g.value_size}, query.options().dtype(type));
}
} // namespace

variable_list gated_retention(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                              const at::Tensor &log_gates, const at::Tensor &state_in, int64_t chunk) {
  auto forward = [&]() -> Pass {
    auto g = groups_of(query, value);
    auto q = merged(query), k = merged(key), v = merged(value), logs = logs_of(log_gates, query);
    auto state = start_of(state_in, query, g);
    bool empty = !state_in.defined();
    auto out = make::empty_like(v);
    for (auto span : spans(value.size(2), chunk)) {
      GateTable gates(logs, span);
      auto q_c = part(q, span), k_c = part(k, span), v_c = part(v, span);
      auto o = gated_scores(q_c.bmm(flipped(k_c)), gates, g).bmm(v_c);
      if (!empty)
        add_rows(o, q_c.bmm(state.to(q.scalar_type())), gates.until, g, at::Tensor(), at::Tensor());
      part(out, span).copy_(o);
      carry_gated(state, flipped(k_c).bmm(side_by_side(v_c, gates.after, g)), gates, g);
      empty = false;
    }
    return {{out.reshape(value.sizes()), separated(state, g, value.size(0))},
            {query, key, value, log_gates, state_in}};
  };
  auto backward = [chunk](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &query = saved[0], &key = saved[1], &value = saved[2], &log_gates = saved[3], &state_in = saved[4];
    auto g = groups_of(query, value);
    auto type = query.scalar_type();
    auto q = merged(query), k = merged(key), v = merged(value), logs = logs_of(log_gates, query);
    auto d_out = gradients[0].defined() ? merged(gradients[0].to(type)) : make::zeros_like(v);
    auto parts = spans(value.size(2), chunk);
    std::vector<at::Tensor> states;
    auto state = start_of(state_in, query, g);
    for (size_t c = 0; c < parts.size(); c++) {
      states.push_back(state.clone());
      if (c + 1 == parts.size())
        break;
      GateTable gates(logs, parts[c]);
      auto v_s = side_by_side(part(v, parts[c]), gates.after, g);
      carry_gated(state, flipped(part(k, parts[c])).bmm(v_s), gates, g);
    }
    auto d_state = start_of(gradients[1], query, g);
    bool later = gradients[1].defined();
    auto d_q = make::empty_like(q), d_k = make::empty_like(k), d_v = make::empty_like(v),
         d_logs = make::empty_like(logs);
    for (size_t c = parts.size(); c-- > 0;) {
      auto span = parts[c];
      GateTable gates(logs, span);
      auto q_c = part(q, span), k_c = part(k, span), v_c = part(v, span), do_c = part(d_out, span);
      bool earlier = c > 0 || state_in.defined();
      auto balance = make::empty({g.heads(), span.length}, logs.options());
      auto cross = make::zeros_like(balance), kept = make::zeros_like(balance);
      auto whole = make::zeros({g.heads()}, logs.options());
      auto d_scores = do_c.bmm(flipped(v_c));
      auto scores = gated_scores_backward(q_c.bmm(flipped(k_c)), d_scores, gates, g, balance);
      auto dv = flipped(scores).bmm(do_c);
      auto dp = g.share == 1 ? d_scores : d_scores.reshape({g.groups, g.share, span.length, span.length}).sum(1);
      auto dq = dp.bmm(k_c), dk = flipped(dp).bmm(q_c);
      at::Tensor do_s, none;
      if (earlier) {
        auto r = states[c].to(type);
        add_rows(none, q_c.bmm(r), gates.until, g, do_c, cross);
        do_s = side_by_side(do_c, gates.until, g);
        dq.baddbmm_(do_s, flipped(r));
      }
      if (later) {
        auto u = d_state.to(type);
        add_rows(dv, k_c.bmm(u), gates.after, g, v_c, kept);
        dk.baddbmm_(side_by_side(v_c, gates.after, g), flipped(u));
        if (earlier)
          whole = gated_products(d_state, states[c], gates, g);
      }
      if (earlier)
        carry_gated(d_state, flipped(q_c).bmm(do_s), gates, g);
      later = true;
      part(d_logs.unsqueeze(-1), span).squeeze(-1).copy_(log_gradients(balance + cross, kept, whole));
      part(d_q, span).copy_(dq);
      part(d_k, span).copy_(dk);
      part(d_v, span).copy_(dv);
      states[c] = at::Tensor();
    }
    at::Tensor d_state_in;
    if (state_in.defined())
      d_state_in = separated(d_state, g, value.size(0)).to(state_in.scalar_type());
    return {d_q.reshape(query.sizes()), d_k.reshape(key.sizes()), d_v.reshape(value.sizes()),
            d_logs.reshape(log_gates.sizes()).to(log_gates.scalar_type()), d_state_in};
  };
  return record({query, key, value, log_gates, state_in}, forward, backward);
}

} // namespace ctorch::cpu
