// Chunkwise retention with hand-written gradients, and the recurrent step.
//
// Retentive Network (arXiv 2307.08621), section 2.3. With local row r of a chunk of length L, the state R
// entering it, A = (Q K^T) * D and D[r, s] = g^(r-s) for s <= r:
//
//   O_r   = (A V)_r + g^(r+1) Q_r R                 R' = g^L R + sum_s g^(L-1-s) K_s^T V_s
//
// and, with U the gradient of the loss by the state leaving the chunk and dA = (dO V^T) * D:
//
//   dQ_r = (dA K)_r   + g^(r+1) dO_r R^T            dV_s = (A^T dO)_s + g^(L-1-s) K_s U
//   dK_s = (dA^T Q)_s + g^(L-1-s) V_s U^T           U'   = g^L U + sum_r g^(r+1) Q_r^T dO_r
//
// Only q, k, v and the first state are kept for the backward pass; the states between chunks are computed
// again. Powers of g and states are float32 (float64 for float64 inputs) whatever the type of q, k, v.
#include "operators.h"

#include <cmath>

namespace ctorch {
namespace {

// g^0 ... g^chunk of every head, in the accumulator type.
struct Powers {
  std::vector<double> log_gammas;
  int64_t chunk;
  at::Tensor ascending;  // [H, chunk + 1]: g^i
  at::Tensor descending; // [H, chunk + 1]: g^(chunk - i)

  Powers(std::vector<double> logs, int64_t chunk, const at::Tensor &like) : log_gammas(std::move(logs)), chunk(chunk) {
    auto table = at::empty({heads(), chunk + 1}, at::kDouble);
    double *p = table.mutable_data_ptr<double>();
    for (int64_t h = 0; h < heads(); h++)
      for (int64_t i = 0; i <= chunk; i++)
        p[h * (chunk + 1) + i] = std::exp(static_cast<double>(i) * log_gammas[h]);
    auto type = accumulator_type(like.scalar_type());
    ascending = table.to(type).to(like.device()).contiguous();
    descending = table.flip({1}).contiguous().to(type).to(like.device());
  }
  int64_t heads() const { return static_cast<int64_t>(log_gammas.size()); }
  // g^(r+1), r = 0 ..< length, as [H, length, 1]
  at::Tensor cross(int64_t length) const { return ascending.narrow(1, 1, length).unsqueeze(-1); }
  // g^(length-1-s), s = 0 ..< length
  at::Tensor zeta(int64_t length) const { return descending.narrow(1, chunk - length + 1, length).unsqueeze(-1); }
  double whole(int64_t head, int64_t length) const { return std::exp(static_cast<double>(length) * log_gammas[head]); }
};

// Rows of [N = B H, L, X] times a factor of their head and position [H, L, 1]; new tensor of the same type.
at::Tensor scale_rows(const at::Tensor &x, const at::Tensor &factors, int64_t heads) {
  int64_t count = x.size(0), length = x.size(1), size = x.size(2);
  if (!has_row_kernels(x)) {
    auto wide = x.reshape({count / heads, heads, length, size}).to(factors.scalar_type()) * factors;
    return wide.to(x.scalar_type()).reshape({count, length, size});
  }
  auto in = x.stride(2) == 1 ? x : x.contiguous();
  auto out = at::empty({count, length, size}, x.options());
  auto f = factors.contiguous();
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *from = data<T>(in);
    const A *factor = data<A>(f);
    T *to = mutable_data<T>(out);
    int64_t outer = in.stride(0), inner = in.stride(1);
    parallel_for(count * length, row_grain(size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / length, r = i % length;
        row_kernels<T>().scale(from + n * outer + r * inner, factor[n % heads * length + r], to + i * size, size);
      }
    });
  });
  return out;
}

// scores [N, L, L] * D in place (the tensor is fresh). D is applied by a select.
at::Tensor apply_decay(at::Tensor scores, const Powers &powers) {
  int64_t count = scores.size(0), length = scores.size(1), heads = powers.heads();
  if (!has_row_kernels(scores)) {
    auto position = at::arange(length, powers.ascending.options());
    auto distance = position.unsqueeze(1) - position.unsqueeze(0);
    auto logs = at::tensor(powers.log_gammas, at::kDouble).to(distance.options()).reshape({heads, 1, 1});
    auto decay = at::where(distance >= 0, at::exp(distance * logs), at::zeros({}, distance.options()));
    auto wide = scores.reshape({count / heads, heads, length, length}).to(decay.scalar_type()) * decay;
    return wide.to(scores.scalar_type()).reshape({count, length, length});
  }
  scores = scores.contiguous();
  with_element(scores.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    T *a = mutable_data<T>(scores);
    const A *table = data<A>(powers.descending);
    parallel_for(count * length, row_grain(length), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / length, r = i % length;
        // descending[chunk - r + s] = g^(r - s)
        const A *row = table + n % heads * (powers.chunk + 1) + powers.chunk - r;
        row_kernels<T>().decay_mask(a + i * length, row, r + 1, length);
      }
    });
  });
  return scores;
}

// total = g^length * total + addend, per head; total [N, A, V] in the accumulator type, updated in place.
void carry(at::Tensor &total, const at::Tensor &addend, const Powers &powers, int64_t length) {
  int64_t heads = powers.heads();
  if (!has_row_kernels(addend)) {
    auto factors = powers.ascending.narrow(1, length, 1).reshape({heads, 1, 1});
    auto shape = total.sizes().vec();
    auto view = total.reshape({shape[0] / heads, heads, shape[1], shape[2]});
    total = (view * factors + addend.reshape(view.sizes()).to(total.scalar_type())).reshape(shape);
    return;
  }
  auto source = addend.contiguous();
  int64_t block = total.size(1) * total.size(2);
  with_element(source.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    A *t = mutable_data<A>(total);
    const T *s = data<T>(source);
    parallel_for(total.size(0), row_grain(block), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; n++)
        row_kernels<T>().accumulate(t + n * block, A(powers.whole(n % heads, length)), s + n * block, block);
    });
  });
}

at::Tensor flat(const at::Tensor &x) { return x.contiguous().reshape({-1, x.size(2), x.size(3)}); }
at::Tensor rows(const at::Tensor &x, int64_t start, int64_t length) { return x.narrow(1, start, length); }
at::Tensor swap(const at::Tensor &x) { return x.transpose(1, 2); }

struct Chunk {
  int64_t start, length;
};
std::vector<Chunk> chunks(int64_t time, int64_t size) {
  std::vector<Chunk> result;
  for (int64_t start = 0; start < time; start += size)
    result.push_back({start, std::min(size, time - start)});
  return result;
}

struct RetentionChunkwise : torch::autograd::Function<RetentionChunkwise> {
  static variable_list forward(AutogradContext *ctx, const at::Tensor &query, const at::Tensor &key,
                               const at::Tensor &value, const OptionalTensor &given_state,
                               std::vector<double> log_gammas, int64_t chunk) {
    auto state_in = given_state.value_or(at::Tensor());
    ctx->save_for_backward({query, key, value, state_in});
    ctx->saved_data["log_gammas"] = log_gammas;
    ctx->saved_data["chunk"] = chunk;
    int64_t batch = query.size(0), heads = query.size(1), time = query.size(2);
    Powers powers(log_gammas, chunk, query);
    auto q = flat(query), k = flat(key), v = flat(value);
    auto state = initial_state(state_in, query, value);
    bool empty = !state_in.defined();
    auto out = at::empty({batch * heads, time, value.size(3)}, value.options());
    for (auto [start, length] : chunks(time, chunk)) {
      auto q_c = rows(q, start, length), k_c = rows(k, start, length), v_c = rows(v, start, length);
      auto scores = apply_decay(at::bmm(q_c, swap(k_c)), powers);
      auto o = at::bmm(scores, v_c);
      if (!empty)
        o.baddbmm_(scale_rows(q_c, powers.cross(length), heads), state.to(q.scalar_type()));
      rows(out, start, length).copy_(o);
      carry(state, at::bmm(swap(k_c), scale_rows(v_c, powers.zeta(length), heads)), powers, length);
      empty = false;
    }
    return {out.reshape(value.sizes()), state.reshape({batch, heads, query.size(3), value.size(3)})};
  }

  static at::Tensor initial_state(const at::Tensor &given, const at::Tensor &query, const at::Tensor &value) {
    auto type = accumulator_type(query.scalar_type());
    if (given.defined())
      return given.to(type).reshape({-1, query.size(3), value.size(3)}).clone(at::MemoryFormat::Contiguous);
    return at::zeros({query.size(0) * query.size(1), query.size(3), value.size(3)}, query.options().dtype(type));
  }

  // The state entering every chunk, computed again from k and v.
  static std::vector<at::Tensor> entering_states(const at::Tensor &k, const at::Tensor &v, at::Tensor state,
                                                 const std::vector<Chunk> &parts, const Powers &powers) {
    std::vector<at::Tensor> result;
    for (size_t c = 0; c < parts.size(); c++) {
      result.push_back(state.clone());
      if (c + 1 == parts.size())
        break;
      auto [start, length] = parts[c];
      auto v_c = scale_rows(rows(v, start, length), powers.zeta(length), powers.heads());
      carry(state, at::bmm(swap(rows(k, start, length)), v_c), powers, length);
    }
    return result;
  }

  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &query = saved[0], &key = saved[1], &value = saved[2], &state_in = saved[3];
    int64_t chunk = ctx->saved_data["chunk"].toInt(), heads = query.size(1), time = query.size(2);
    Powers powers(ctx->saved_data["log_gammas"].toDoubleVector(), chunk, query);
    auto type = query.scalar_type();
    auto q = flat(query), k = flat(key), v = flat(value);
    auto d_out = gradients[0].defined() ? flat(gradients[0].to(type)) : at::zeros_like(v);
    auto parts = chunks(time, chunk);
    auto states = entering_states(k, v, initial_state(state_in, query, value), parts, powers);
    auto d_state = initial_state(gradients[1], query, value); // U
    bool later = gradients[1].defined();
    bool need_d_state = state_in.defined();
    auto d_q = at::empty_like(q), d_k = at::empty_like(k), d_v = at::empty_like(v);
    for (size_t c = parts.size(); c-- > 0;) {
      auto [start, length] = parts[c];
      auto q_c = rows(q, start, length), k_c = rows(k, start, length), v_c = rows(v, start, length);
      auto do_c = rows(d_out, start, length);
      auto scores = apply_decay(at::bmm(q_c, swap(k_c)), powers);
      auto d_scores = apply_decay(at::bmm(do_c, swap(v_c)), powers);
      auto dq = at::bmm(d_scores, k_c), dk = at::bmm(swap(d_scores), q_c), dv = at::bmm(swap(scores), do_c);
      bool earlier = c > 0 || state_in.defined();
      at::Tensor do_scaled;
      if (earlier) {
        do_scaled = scale_rows(do_c, powers.cross(length), heads);
        dq.baddbmm_(do_scaled, swap(states[c].to(type)));
      }
      if (later) {
        auto u = d_state.to(type);
        auto zeta = powers.zeta(length);
        dk.baddbmm_(scale_rows(v_c, zeta, heads), swap(u));
        dv.baddbmm_(scale_rows(k_c, zeta, heads), u);
      }
      if (c > 0 || need_d_state)
        carry(d_state, at::bmm(swap(q_c), do_scaled), powers, length);
      later = true;
      rows(d_q, start, length).copy_(dq);
      rows(d_k, start, length).copy_(dk);
      rows(d_v, start, length).copy_(dv);
      states[c] = at::Tensor();
    }
    auto d_state_in = need_d_state ? d_state.reshape(state_in.sizes()).to(state_in.scalar_type()) : at::Tensor();
    return {d_q.reshape(query.sizes()), d_k.reshape(key.sizes()), d_v.reshape(value.sizes()), d_state_in,
            at::Tensor(), at::Tensor()};
  }
};

void check_heads(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &state,
                 int64_t heads, bool step) {
  int64_t rank = step ? 3 : 4;
  TORCH_CHECK_VALUE(q.dim() == rank && k.sizes() == q.sizes() && v.dim() == rank && v.size(0) == q.size(0) &&
                        v.size(1) == q.size(1) && (step || v.size(2) == q.size(2)),
                    "queries ", q.sizes(), ", keys ", k.sizes(), " and values ", v.sizes(), " do not fit");
  TORCH_CHECK_VALUE(q.size(1) == heads, "there are ", q.size(1), " heads but ", heads, " decays");
  TORCH_CHECK_TYPE(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
                   "queries, keys and values must have one element type");
  TORCH_CHECK_VALUE(!state.defined() || (state.dim() == 4 && state.size(0) == q.size(0) && state.size(1) == heads &&
                                         state.size(2) == q.size(-1) && state.size(3) == v.size(-1)),
                    "the state ", state.sizes(), " does not fit queries ", q.sizes(), " and values ", v.sizes());
}

void step_rows(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, at::Tensor &state,
               const double *log_gammas, int64_t heads, at::Tensor &out) {
  int64_t count = q.size(0) * heads, key_size = q.size(2), value_size = v.size(2);
  // Columns of the state are independent, so one sequence with few heads still uses every core.
  int64_t slices = std::max<int64_t>(1, std::min<int64_t>(value_size / 128, 8));
  with_element(q.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *qp = data<T>(q), *kp = data<T>(k), *vp = data<T>(v);
    A *s = mutable_data<A>(state);
    T *o = mutable_data<T>(out);
    parallel_for(count * slices, row_grain(key_size * value_size / slices), [&](int64_t begin, int64_t end) {
      std::vector<A> scratch(2 * value_size);
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / slices, part = i % slices;
        int64_t first = value_size * part / slices, last = value_size * (part + 1) / slices;
        row_kernels<T>().retention_step(qp + n * key_size, kp + n * key_size, vp + n * value_size + first,
                                        s + n * key_size * value_size + first, A(std::exp(log_gammas[n % heads])),
                                        o + n * value_size + first, key_size, last - first, value_size,
                                        scratch.data());
      }
    });
  });
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_retention_chunkwise(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key,
                                 ct_tensor value, ct_tensor state, const double *log_gammas, int32_t heads,
                                 int64_t chunk) {
  return guarded([&] {
    const auto &q = query->value, &k = key->value, &v = value->value;
    auto s = maybe(state);
    check_heads(q, k, v, s, heads, false);
    TORCH_CHECK_VALUE(chunk >= 1, "the chunk length must be at least 1, found ", chunk);
    TORCH_CHECK_VALUE(q.size(2) >= 1, "retention needs at least one position");
    std::vector<double> logs(log_gammas, log_gammas + heads);
    auto results = RetentionChunkwise::apply(q, k, v, given(s), logs, std::min(chunk, q.size(2)));
    *out = box(results[0]);
    *state_out = box(results[1]);
  });
}

ct_status ct_retention_step(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key, ct_tensor value,
                            ct_tensor state, const double *log_gammas, int32_t heads, bool in_place) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto q = query->value.contiguous(), k = key->value.contiguous(), v = value->value.contiguous();
    auto s = state->value;
    check_heads(q, k, v, s, heads, true);
    TORCH_CHECK_TYPE(s.scalar_type() == accumulator_type(q.scalar_type()), "the state must be float32, or float64 ",
                     "with float64 queries");
    TORCH_CHECK_VALUE(!in_place || s.is_contiguous(), "a state updated in place must be contiguous");
    if (has_row_kernels(q)) {
      if (!in_place)
        s = s.contiguous().clone();
      auto o = at::empty_like(v);
      step_rows(q, k, v, s, log_gammas, heads, o);
      *out = box(o);
      *state_out = in_place ? nullptr : box(s);
      return;
    }
    auto type = s.scalar_type();
    auto gammas = at::tensor(std::vector<double>(log_gammas, log_gammas + heads), at::kDouble).exp();
    auto update = k.to(type).unsqueeze(-1) * v.to(type).unsqueeze(-2);
    auto next = s * gammas.to(s.options()).reshape({1, heads, 1, 1}) + update;
    *out = box(at::matmul(q.to(type).unsqueeze(-2), next).squeeze(-2).to(v.scalar_type()));
    if (in_place)
      s.copy_(next);
    *state_out = in_place ? nullptr : box(next);
  });
}
