// Matrix states with a gate for every key channel, with hand-written gradients, for processors.
//
//   S_t = diag(a_t) S_(t-1) + k_t^T v_t,   o_t = q_t S_t
//
// Gated linear attention (arXiv 2312.06635). Within short chunks the products of gates between two positions are
// formed step by step (matrix_states.inc), so q e^g and k e^-g, which overflow, never appear:
//
//   O = A V + (q e^g) R,  A[t, i] = sum_c q_tc k_ic e^(g_tc - g_ic)     R' = diag(e^(g_L)) R + (k e^(g_L - g))^T V
//
// A chunk of 16 costs no more operations per position than a longer one: the state's part has the same size for
// every position. Only the arguments are kept for the backward pass; every eighth state is computed again first,
// and those between them when their turn comes.
#include "matrix_states.h"

namespace ctorch::cpu {
namespace {

constexpr int64_t kSegment = 8; // chunks

// Products of a chunk of q, k and the gates.
struct ChannelParts {
  at::Tensor scores, queries, keys, total;

  ChannelParts(const at::Tensor &q, const at::Tensor &k, const at::Tensor &logs, const Span &span) {
    int64_t count = q.size(0), time = q.size(1), size = q.size(2), length = span.length;
    scores = make::empty({count, length, length}, q.options());
    queries = make::empty({count, length, size}, q.options());
    keys = make::empty_like(queries);
    total = make::empty({count, size}, logs.options());
    with_element(q.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *qp = data<T>(q), *kp = data<T>(k);
      const A *lp = data<A>(logs);
      T *sp = mutable_data<T>(scores), *qo = mutable_data<T>(queries), *ko = mutable_data<T>(keys);
      A *tp = mutable_data<A>(total);
      parallel_for(count, row_grain(length * length * size), [&](int64_t begin, int64_t end) {
        std::vector<A> scratch((length + 2) * size);
        for (int64_t n = begin; n < end; n++) {
          int64_t at = (n * time + span.start) * size, to = n * length * size;
          ChannelChunk<T> chunk{qp + at, kp + at, lp + at, length, size};
          matrix_state_kernels<T>().channel_forward(chunk, sp + n * length * length, qo + to, ko + to, tp + n * size,
                                                    scratch.data());
        }
      });
    });
  }

  // state = diag(total) state + keys^T v
  void carry(at::Tensor &state, const at::Tensor &v) const { carry_rows(state, flipped(keys).bmm(v), total); }

  // total [N, K] times the rows of state [N, K, V], plus addend.
  static void carry_rows(at::Tensor &state, const at::Tensor &addend, const at::Tensor &total) {
    int64_t rows = state.size(0) * state.size(1), size = state.size(2);
    with_element(addend.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      A *s = mutable_data<A>(state);
      const T *x = data<T>(addend);
      const A *factor = data<A>(total);
      parallel_for(rows, row_grain(size), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i++)
          row_kernels<T>().accumulate(s + i * size, factor[i], x + i * size, size);
      });
    });
  }
};

// Gradients of q, k and the gates of a chunk, written into [N, T, K] tensors.
void channel_gradients(const at::Tensor &q, const at::Tensor &k, const at::Tensor &logs, const Span &span,
                       const at::Tensor &d_scores, const at::Tensor &d_queries, const at::Tensor &d_keys,
                       const at::Tensor &d_total, at::Tensor &d_q, at::Tensor &d_k, at::Tensor &d_logs) {
  int64_t count = q.size(0), time = q.size(1), size = q.size(2), length = span.length;
  with_element(q.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *qp = data<T>(q), *kp = data<T>(k), *ds = data<T>(d_scores), *dq = data<T>(d_queries);
    const T *dk = data<T>(d_keys);
    const A *lp = data<A>(logs), *dt = data<A>(d_total);
    T *q_out = mutable_data<T>(d_q), *k_out = mutable_data<T>(d_k);
    A *l_out = mutable_data<A>(d_logs);
    parallel_for(count, row_grain(length * length * size), [&](int64_t begin, int64_t end) {
      std::vector<A> scratch((3 * length + 4) * size);
      for (int64_t n = begin; n < end; n++) {
        int64_t at = (n * time + span.start) * size, from = n * length * size;
        ChannelChunk<T> chunk{qp + at, kp + at, lp + at, length, size};
        ChannelGradients<T> gradients{
            ds + n * length * length, dq + from, dk + from, dt + n * size, q_out + at, k_out + at, l_out + at};
        matrix_state_kernels<T>().channel_backward(chunk, gradients, scratch.data());
      }
    });
  });
}

at::Tensor start_of(const at::Tensor &state, const at::Tensor &q, const at::Tensor &v) {
  auto type = accumulator_type(q.scalar_type());
  if (state.defined())
    return state.to(type).reshape({-1, q.size(2), v.size(2)}).clone(at::MemoryFormat::Contiguous);
  return make::zeros({q.size(0), q.size(2), v.size(2)}, q.options().dtype(type));
}
} // namespace

variable_list channel_gates(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                            const at::Tensor &log_gates, const at::Tensor &state_in, int64_t chunk) {
  auto forward = [&]() -> Pass {
    auto q = merged(query), k = merged(key), v = merged(value);
    auto logs = merged(log_gates.to(accumulator_type(query.scalar_type())));
    auto state = start_of(state_in, q, v);
    bool empty = !state_in.defined();
    auto out = make::empty_like(v);
    for (auto span : spans(v.size(1), chunk)) {
      ChannelParts parts(q, k, logs, span);
      auto v_c = part(v, span);
      auto o = parts.scores.bmm(v_c);
      if (!empty)
        o.baddbmm_(parts.queries, state.to(q.scalar_type()));
      part(out, span).copy_(o);
      parts.carry(state, v_c);
      empty = false;
    }
    return {{out.reshape(value.sizes()), state.reshape({value.size(0), value.size(1), query.size(3), value.size(3)})},
            {query, key, value, log_gates, state_in}};
  };
  auto backward = [chunk](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &query = saved[0], &key = saved[1], &value = saved[2], &log_gates = saved[3], &state_in = saved[4];
    auto type = query.scalar_type();
    auto q = merged(query), k = merged(key), v = merged(value);
    auto logs = merged(log_gates.to(accumulator_type(type)));
    auto d_out = gradients[0].defined() ? merged(gradients[0].to(type)) : make::zeros_like(v);
    auto all = spans(v.size(1), chunk);
    auto segments = spans(static_cast<int64_t>(all.size()), kSegment);
    std::vector<at::Tensor> starts;
    auto state = start_of(state_in, q, v);
    for (auto segment : segments) {
      starts.push_back(state.clone());
      if (starts.size() < segments.size())
        for (int64_t c = segment.start; c < segment.start + segment.length; c++)
          ChannelParts(q, k, logs, all[c]).carry(state, part(v, all[c]));
    }
    auto d_state = start_of(gradients[1], q, v);
    auto d_q = make::empty_like(q), d_k = make::empty_like(k), d_v = make::empty_like(v),
         d_logs = make::empty_like(logs);
    for (size_t s = segments.size(); s-- > 0;) {
      auto [first, count] = segments[s];
      std::vector<ChannelParts> chunks;
      std::vector<at::Tensor> states;
      state = starts[s];
      for (int64_t c = first; c < first + count; c++) {
        chunks.emplace_back(q, k, logs, all[c]);
        states.push_back(state.clone());
        if (c + 1 < first + count)
          chunks.back().carry(state, part(v, all[c]));
      }
      starts[s] = at::Tensor();
      for (int64_t i = count; i-- > 0;) {
        auto span = all[first + i];
        const auto &parts = chunks[i];
        auto v_c = part(v, span), do_c = part(d_out, span);
        auto r = states[i].to(type), u = d_state.to(type);
        auto d_total = (d_state * states[i]).sum(-1);
        auto dv = flipped(parts.scores).bmm(do_c);
        dv.baddbmm_(parts.keys, u);
        part(d_v, span).copy_(dv);
        channel_gradients(q, k, logs, span, do_c.bmm(flipped(v_c)), do_c.bmm(flipped(r)), v_c.bmm(flipped(u)),
                          d_total, d_q, d_k, d_logs);
        ChannelParts::carry_rows(d_state, flipped(parts.queries).bmm(do_c), parts.total);
      }
    }
    at::Tensor d_state_in;
    if (state_in.defined())
      d_state_in = d_state.reshape(state_in.sizes()).to(state_in.scalar_type());
    return {d_q.reshape(query.sizes()), d_k.reshape(key.sizes()), d_v.reshape(value.sizes()),
            d_logs.reshape(log_gates.sizes()).to(log_gates.scalar_type()), d_state_in};
  };
  return record({query, key, value, log_gates, state_in}, forward, backward);
}

} // namespace ctorch::cpu
