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
#include "../library/profile.h"
#include "node.h"
#include "table.h"

#include <cmath>

namespace ctorch {
namespace {

// g^0 ... g^chunk of every head, in the accumulator type.
struct Powers {
  std::vector<double> log_gammas;
  int64_t chunk;
  at::Tensor ascending;  // [H, chunk + 1]: g^i
  at::Tensor descending; // [H, chunk + 1]: g^(chunk - i)

  Powers(std::vector<double> logs, int64_t chunk, const at::Tensor &like)
      : log_gammas(std::move(logs)), chunk(chunk) {
    auto table = make::empty({heads(), chunk + 1}, at::kDouble);
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
  // g^length of every head
  std::vector<double> whole(int64_t length) const {
    std::vector<double> result;
    for (double log : log_gammas)
      result.push_back(std::exp(static_cast<double>(length) * log));
    return result;
  }
};

// ---- The steps by ATen operators, for devices without kernels ----

at::Tensor scale_rows(const at::Tensor &x, const at::Tensor &factors, int64_t heads) {
  int64_t count = x.size(0), length = x.size(1), size = x.size(2);
  auto wide = x.reshape({count / heads, heads, length, size}).to(factors.scalar_type()) * factors;
  return wide.to(x.scalar_type()).reshape({count, length, size});
}

at::Tensor apply_decay(at::Tensor scores, const at::Tensor &descending, const std::vector<double> &log_gammas) {
  int64_t count = scores.size(0), length = scores.size(1), heads = static_cast<int64_t>(log_gammas.size());
  auto position = make::range(length, descending.options());
  auto distance = position.unsqueeze(1) - position.unsqueeze(0);
  auto logs = make::vector(log_gammas).to(distance.options()).reshape({heads, 1, 1});
  auto decay = (distance * logs).exp().masked_fill(distance.lt(0), 0);
  auto wide = scores.reshape({count / heads, heads, length, length}).to(decay.scalar_type()) * decay;
  return wide.to(scores.scalar_type()).reshape({count, length, length});
}

void carry(at::Tensor &total, const at::Tensor &addend, const std::vector<double> &factors) {
  int64_t heads = static_cast<int64_t>(factors.size()), count = total.size(0) / heads;
  auto view = total.view({count, heads, total.size(1), total.size(2)});
  view.mul_(make::vector(factors).to(total.options()).reshape({heads, 1, 1}));
  view.add_(addend.reshape(view.sizes()).to(total.scalar_type()));
}

constexpr RetentionSteps kRetentionChain{scale_rows, apply_decay, carry};

// ---- The operator ----

at::Tensor initial_state(const at::Tensor &given, const at::Tensor &query, const at::Tensor &value,
                         bool is_changed = true) {
  auto type = accumulator_type(query.scalar_type());
  if (given.defined()) {
    auto state = given.to(type).reshape({-1, query.size(3), value.size(3)});
    return is_changed ? state.clone(at::MemoryFormat::Contiguous) : state.contiguous();
  }
  return make::zeros({query.size(0) * query.size(1), query.size(3), value.size(3)}, query.options().dtype(type));
}

Pass retention_forward(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                       const at::Tensor &state_in, const std::vector<double> &log_gammas, int64_t chunk,
                       const RetentionSteps *steps, bool keeps_state) {
  int64_t batch = query.size(0), heads = query.size(1), time = query.size(2);
  Powers powers(log_gammas, chunk, query);
  auto q = merged(query), k = merged(key), v = merged(value);
  // Without a state to return the last chunk leaves it alone, and a single chunk only reads the given one.
  bool carries = keeps_state || time > chunk;
  at::Tensor state;
  if (state_in.defined())
    state = initial_state(state_in, query, value, carries);
  bool empty = !state_in.defined();
  auto out = make::empty({batch * heads, time, value.size(3)}, value.options());
  for (auto span : spans(time, chunk)) {
    int64_t length = span.length;
    auto q_c = part(q, span), k_c = part(k, span), v_c = part(v, span);
    auto scores = steps->apply_decay(q_c.bmm(flipped(k_c)), powers.descending, powers.log_gammas);
    auto o = scores.bmm(v_c);
    if (!empty)
      o.baddbmm_(steps->scale_rows(q_c, powers.cross(length), heads), state.to(q.scalar_type()));
    part(out, span).copy_(o);
    if (!keeps_state && span.start + length >= time)
      break;
    auto addend = flipped(k_c).bmm(steps->scale_rows(v_c, powers.zeta(length), heads));
    if (empty)
      state = addend.to(accumulator_type(query.scalar_type()));
    else
      steps->carry(state, addend, powers.whole(length));
    empty = false;
  }
  if (!keeps_state)
    return {{out.reshape(value.sizes())}, {}};
  return {{out.reshape(value.sizes()), state.reshape({batch, heads, query.size(3), value.size(3)})},
          {query, key, value, state_in}};
}

// The state entering every chunk, computed again from k and v.
std::vector<at::Tensor> entering_states(const at::Tensor &k, const at::Tensor &v, at::Tensor state,
                                        const std::vector<Span> &parts, const Powers &powers,
                                        const RetentionSteps *steps) {
  std::vector<at::Tensor> result;
  for (size_t c = 0; c < parts.size(); c++) {
    result.push_back(state.clone());
    if (c + 1 == parts.size())
      break;
    int64_t length = parts[c].length;
    auto v_c = steps->scale_rows(part(v, parts[c]), powers.zeta(length), powers.heads());
    steps->carry(state, flipped(part(k, parts[c])).bmm(v_c), powers.whole(length));
  }
  return result;
}

variable_list retention_backward(const variable_list &saved, variable_list &gradients,
                                 const std::vector<double> &log_gammas, int64_t chunk, const RetentionSteps *steps) {
  const auto &query = saved[0], &key = saved[1], &value = saved[2], &state_in = saved[3];
  int64_t heads = query.size(1), time = query.size(2);
  Powers powers(log_gammas, chunk, query);
  auto type = query.scalar_type();
  auto q = merged(query), k = merged(key), v = merged(value);
  auto d_out = gradients[0].defined() ? merged(gradients[0].to(type)) : make::zeros_like(v);
  auto parts = spans(time, chunk);
  auto states = entering_states(k, v, initial_state(state_in, query, value), parts, powers, steps);
  auto d_state = initial_state(gradients[1], query, value); // U
  bool later = gradients[1].defined();
  bool need_d_state = state_in.defined();
  auto d_q = make::empty_like(q), d_k = make::empty_like(k), d_v = make::empty_like(v);
  for (size_t c = parts.size(); c-- > 0;) {
    auto span = parts[c];
    int64_t length = span.length;
    auto q_c = part(q, span), k_c = part(k, span), v_c = part(v, span);
    auto do_c = part(d_out, span);
    auto scores = steps->apply_decay(q_c.bmm(flipped(k_c)), powers.descending, powers.log_gammas);
    auto d_scores = steps->apply_decay(do_c.bmm(flipped(v_c)), powers.descending, powers.log_gammas);
    auto dq = d_scores.bmm(k_c), dk = flipped(d_scores).bmm(q_c), dv = flipped(scores).bmm(do_c);
    bool earlier = c > 0 || state_in.defined();
    at::Tensor do_scaled;
    if (earlier) {
      do_scaled = steps->scale_rows(do_c, powers.cross(length), heads);
      dq.baddbmm_(do_scaled, flipped(states[c].to(type)));
    }
    if (later) {
      auto u = d_state.to(type);
      auto zeta = powers.zeta(length);
      dk.baddbmm_(steps->scale_rows(v_c, zeta, heads), flipped(u));
      dv.baddbmm_(steps->scale_rows(k_c, zeta, heads), u);
    }
    if (c > 0 || need_d_state)
      steps->carry(d_state, flipped(q_c).bmm(do_scaled), powers.whole(length));
    later = true;
    part(d_q, span).copy_(dq);
    part(d_k, span).copy_(dk);
    part(d_v, span).copy_(dv);
    states[c] = at::Tensor();
  }
  auto d_state_in = need_d_state ? d_state.reshape(state_in.sizes()).to(state_in.scalar_type()) : at::Tensor();
  return {d_q.reshape(query.sizes()), d_k.reshape(key.sizes()), d_v.reshape(value.sizes()), d_state_in};
}

// ---- The state after a part of a sequence ----
//
// With nothing before it, S = sum_s g^(T-1-s) K_s^T V_s; with U its gradient, dK_s = g^(T-1-s) V_s U^T and
// dV_s = g^(T-1-s) K_s U. Ranks that hold a sequence together compute it before any output (Sequence/ of the mixers).

constexpr int64_t kEndStateChunk = 512;

at::Tensor end_state(const at::Tensor &key, const at::Tensor &value, const std::vector<double> &log_gammas,
                     const RetentionSteps *steps) {
  Powers powers(log_gammas, std::min(kEndStateChunk, key.size(2)), key);
  auto k = merged(key), v = merged(value);
  at::Tensor state;
  for (auto span : spans(key.size(2), powers.chunk)) {
    auto rows = steps->scale_rows(part(v, span), powers.zeta(span.length), powers.heads());
    auto addend = flipped(part(k, span)).bmm(rows);
    if (state.defined())
      steps->carry(state, addend, powers.whole(span.length));
    else
      state = addend.to(accumulator_type(key.scalar_type()));
  }
  return state.reshape({key.size(0), key.size(1), key.size(3), value.size(3)});
}

variable_list end_state_backward(const at::Tensor &key, const at::Tensor &value, const at::Tensor &gradient,
                                 const std::vector<double> &log_gammas, const RetentionSteps *steps) {
  Powers powers(log_gammas, std::min(kEndStateChunk, key.size(2)), key);
  auto k = merged(key), v = merged(value);
  auto u = initial_state(gradient, key, value);
  auto fading = u.view({key.size(0), powers.heads(), u.size(1), u.size(2)});
  auto d_k = make::empty_like(k), d_v = make::empty_like(v);
  auto parts = spans(key.size(2), powers.chunk);
  for (size_t c = parts.size(); c-- > 0;) {
    auto zeta = powers.zeta(parts[c].length);
    auto narrow = u.to(key.scalar_type());
    part(d_k, parts[c]).copy_(steps->scale_rows(part(v, parts[c]), zeta, powers.heads()).bmm(flipped(narrow)));
    part(d_v, parts[c]).copy_(steps->scale_rows(part(k, parts[c]), zeta, powers.heads()).bmm(narrow));
    fading.mul_(make::vector(powers.whole(parts[c].length)).to(u.options()).reshape({powers.heads(), 1, 1}));
  }
  return {d_k.reshape(key.sizes()), d_v.reshape(value.sizes())};
}

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

// Kernels of processors that take one head of a sequence per thread, where there are heads enough and they take this type.
const DeviceOperators *head_kernels(const at::Tensor &x, int64_t units) {
  auto kernels = kernels_for(CT_OP_RETENTION, x);
  if (!kernels || !x.is_cpu() || emulates_cuda() || units < thread_count())
    return nullptr;
  // They multiply bfloat16 themselves where the processor does; products in float32 are asked for there by tests.
  return multiplies_in_float32(x) && attention_kernels<BF16>().element_size == 2 ? nullptr : kernels;
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_retention_chunkwise(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key,
                                 ct_tensor value, ct_tensor state, const double *log_gammas, int32_t heads,
                                 int64_t chunk, bool trains) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto q = query->value, k = key->value, v = value->value;
    auto s = maybe(state);
    check_heads(q, k, v, s, heads, false);
    TORCH_CHECK_VALUE(chunk >= 1, "the chunk length must be at least 1, found ", chunk);
    TORCH_CHECK_VALUE(q.size(2) >= 1, "retention needs at least one position");
    std::vector<double> logs(log_gammas, log_gammas + heads);
    chunk = std::min(chunk, q.size(2));
    bool is_device = !q.is_cpu() || emulates_cuda();
    auto whole = is_device ? kernels_for(CT_OP_RETENTION, q) : trains ? head_kernels(q, q.size(0) * q.size(1)) : nullptr;
    if (whole && whole->chunkwise_retention) {
      auto results = whole->chunkwise_retention(q, k, v, s, logs, chunk, state_out != nullptr);
      if (!results.empty()) {
        *out = box(results[0]);
        if (state_out)
          *state_out = box(results[1]);
        return;
      }
    }
    auto type = widen_operands(q, k, v);
    auto kernels = kernels_for(CT_OP_RETENTION, q);
    auto steps = kernels && kernels->retention ? kernels->retention : &kRetentionChain;
    if (!state_out && !at::GradMode::is_enabled()) {
      *out = box(retention_forward(q, k, v, s, logs, chunk, steps, false).outputs[0].to(type));
      return;
    }
    auto results = record(
        {q, k, v, s}, [&] { return retention_forward(q, k, v, s, logs, chunk, steps, true); },
        [=](const variable_list &saved, variable_list &gradients) {
          return retention_backward(saved, gradients, logs, chunk, steps);
        });
    *out = box(results[0].to(type));
    if (state_out)
      *state_out = box(results[1]);
  });
}

ct_status ct_retention_end_state(ct_tensor *out, ct_tensor key, ct_tensor value, const double *log_gammas,
                                 int32_t heads) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto k = key->value, v = value->value;
    check_heads(k, k, v, at::Tensor(), heads, false);
    TORCH_CHECK_VALUE(k.size(2) >= 1, "retention needs at least one position");
    std::vector<double> logs(log_gammas, log_gammas + heads);
    widen_operands(k, v);
    auto kernels = kernels_for(CT_OP_RETENTION, k);
    auto steps = kernels ? kernels->retention : &kRetentionChain;
    *out = box(record(
        {k, v}, [&]() -> Pass { return {{end_state(k, v, logs, steps)}, {k, v}}; },
        [=](const variable_list &saved, variable_list &gradients) {
          return end_state_backward(saved[0], saved[1], gradients[0], logs, steps);
        })[0]);
  });
}

bool ct_runs_retention_layer(ct_tensor input, int32_t heads) {
  const auto &x = input->value;
  // Fewer rows are products of few rows, whose bits do not depend on the other rows.
  return x.dim() == 3 && x.size(0) * x.size(1) > 64 && head_kernels(x, x.size(0) * heads);
}

ct_status ct_retention_layer(ct_tensor *out, ct_tensor *state_out, ct_tensor *key_sum_out, ct_tensor input,
                             ct_tensor state, const ct_retention_layer_options *options) {
  return guarded([&] {
    const auto &o = *options;
    TORCH_CHECK_VALUE(ct_runs_retention_layer(input, o.heads), "there is no kernel for a layer of retention over ",
                      input->value.sizes());
    RetentionLayer layer;
    layer.x = input->value.contiguous();
    auto type = accumulator_type(layer.x.scalar_type());
    auto wide = [&](ct_tensor t) { return t ? t->value.to(type).contiguous() : at::Tensor(); };
    layer.weights = {maybe(o.query), maybe(o.key), maybe(o.value), maybe(o.gate)};
    layer.cosine = wide(o.cosine), layer.sine = wide(o.sine), layer.epsilons = wide(o.epsilons);
    layer.norm_weight = wide(o.norm_weight), layer.norm_bias = wide(o.norm_bias);
    layer.state = maybe(state);
    layer.sum_epsilon = o.sum_epsilon;
    if (o.key_sum)
      layer.key_sum = wide(o.key_sum).detach();
    layer.log_gammas.assign(o.log_gammas, o.log_gammas + o.heads);
    int64_t batch = layer.x.size(0), time = layer.x.size(1), heads = o.heads;
    TORCH_CHECK_VALUE(heads >= 1 && o.chunk >= 1, "a layer needs heads and a chunk length of at least 1");
    layer.chunk = std::min(o.chunk, time);
    layer.interleaved = o.interleaved, layer.key_scale = o.key_scale;
    layer.kind = o.norm, layer.activation = o.activation, layer.keeps_state = state_out != nullptr;
    const auto &w = layer.weights;
    for (const auto &weight : w)
      TORCH_CHECK_VALUE(!weight.defined() || (weight.dim() == 2 && weight.size(1) == layer.x.size(2) &&
                                              weight.size(0) > 0 && weight.size(0) % heads == 0),
                        "a weight ", weight.sizes(), " does not fit inputs ", layer.x.sizes(), " and ", heads, " heads");
    TORCH_CHECK_VALUE(w[0].sizes() == w[1].sizes() && (!w[3].defined() || w[3].sizes() == w[2].sizes()),
                      "weights of queries and keys, and of values and the gate, must have the same shapes");
    int64_t key_size = w[0].size(0) / heads, value_size = w[2].size(0) / heads, count = layer.epsilons.numel();
    TORCH_CHECK_VALUE(!layer.cosine.defined() ||
                          (key_size % 2 == 0 && layer.cosine.dim() == 3 && layer.cosine.sizes() == layer.sine.sizes() &&
                           layer.cosine.size(1) == time && layer.cosine.size(2) == key_size / 2 &&
                           (layer.cosine.size(0) == 1 || layer.cosine.size(0) == batch)),
                      "the angles do not fit ", time, " positions and keys of ", key_size);
    TORCH_CHECK_VALUE(count == 1 || count == heads * time || count == batch * heads * time, "epsilons ",
                      layer.epsilons.sizes(), " do not fit inputs ", layer.x.sizes());
    for (const auto &parameter : {layer.norm_weight, layer.norm_bias})
      TORCH_CHECK_VALUE(!parameter.defined() || parameter.numel() == heads * value_size,
                        "weight and bias of the head norm must have ", heads * value_size, " elements");
    TORCH_CHECK_VALUE(!layer.state.defined() ||
                          layer.state.sizes() == at::IntArrayRef({batch, heads, key_size, value_size}),
                      "the state ", layer.state.sizes(), " does not fit ", heads, " heads of ", key_size, " by ",
                      value_size);
    TORCH_CHECK_VALUE(!layer.key_sum.defined() || (layer.sum_epsilon > 0 && layer.key_sum.sizes() ==
                                                                                at::IntArrayRef({batch, heads, key_size})),
                      "the sum of keys ", layer.key_sum.sizes(), " does not fit ", heads, " heads of ", key_size);
    auto results = kernels_for(CT_OP_RETENTION, layer.x)->retention_layer(layer);
    *out = box(results[0]);
    if (state_out)
      *state_out = box(results[1]);
    if (key_sum_out)
      *key_sum_out = results.size() > 2 ? box(results[2].detach()) : nullptr;
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
    if (auto kernels = kernels_for(CT_OP_RETENTION_STEP, q)) {
      auto next = in_place ? s : s.contiguous().clone();
      auto result = kernels->retention_step(q, k, v, next, log_gammas, heads);
      if (result.defined()) {
        *out = box(result);
        *state_out = in_place ? nullptr : box(next);
        return;
      }
    }
    auto type = s.scalar_type();
    auto gammas = make::vector(std::vector<double>(log_gammas, log_gammas + heads)).exp();
    auto update = k.to(type).unsqueeze(-1) * v.to(type).unsqueeze(-2);
    auto next = s * gammas.to(s.options()).reshape({1, heads, 1, 1}) + update;
    *out = box(q.to(type).unsqueeze(-2).matmul(next).squeeze(-2).to(v.scalar_type()));
    if (in_place)
      s.copy_(next);
    *state_out = in_place ? nullptr : box(next);
  });
}

bool ct_runs_retention_decode(ct_tensor input) {
  auto kernels = kernels_for(CT_OP_RETENTION_STEP, input->value);
  return kernels && kernels->retention_decode;
}

ct_status ct_retention_decode(ct_tensor *out, ct_tensor *state_out, ct_tensor state, bool in_place,
                              const ct_retention_decode_options *options) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    profile::Scope scope(CT_PART_CORE);
    const auto &o = *options;
    *out = *state_out = nullptr;
    TORCH_CHECK_VALUE(ct_runs_retention_decode(o.query), "there is no kernel for a step of a layer of retention on ",
                      o.query->value.device());
    const auto &q = o.query->value, &k = o.key->value, &v = o.value->value;
    auto s = state->value;
    auto g = maybe(o.gate);
    int64_t heads = o.heads, groups = o.groups;
    TORCH_CHECK_VALUE(heads >= 1 && groups >= 1 && heads % groups == 0 && s.dim() == 4 && s.size(1) == heads &&
                          s.scalar_type() == accumulator_type(q.scalar_type()),
                      "the state ", s.sizes(), " does not fit ", heads, " heads of ", groups, " groups");
    int64_t batch = s.size(0), keys = s.size(2), values = s.size(3);
    auto fits = [&](const at::Tensor &x, int64_t width) {
      return x.dim() == 3 && x.size(0) == batch && x.size(1) == 1 && x.size(2) == width && x.scalar_type() == q.scalar_type();
    };
    TORCH_CHECK_VALUE(fits(q, heads * keys) && fits(k, groups * keys) && fits(v, groups * values) &&
                          (!g.defined() || fits(g, heads * values)),
                      "queries ", q.sizes(), ", keys ", k.sizes(), " and values ", v.sizes(), " do not fit the state ",
                      s.sizes());
    TORCH_CHECK_VALUE(!in_place || s.is_contiguous(), "a state updated in place must be contiguous");
    auto type = s.scalar_type();
    auto wide = [&](ct_tensor t) { return t ? t->value.to(type).contiguous() : at::Tensor(); };
    auto split = [&](const at::Tensor &x, int64_t count) {
      auto rows = x.select(1, 0);
      return (rows.stride(1) == 1 ? rows : rows.contiguous()).unflatten(1, {count, -1});
    };
    RetentionDecode step;
    step.query = split(q, heads), step.key = split(k, groups), step.value = split(v, groups);
    step.gate = g.defined() ? split(g, heads) : g;
    step.cosine = wide(o.cosine), step.sine = wide(o.sine), step.epsilons = wide(o.epsilons);
    step.norm_weight = wide(o.norm_weight), step.norm_bias = wide(o.norm_bias);
    TORCH_CHECK_VALUE(!step.cosine.defined() ||
                          (keys % 2 == 0 && step.cosine.sizes() == step.sine.sizes() &&
                           (step.cosine.numel() == keys / 2 || step.cosine.numel() == batch * (keys / 2))),
                      "the angles do not fit keys of ", keys);
    int64_t count = step.epsilons.numel();
    TORCH_CHECK_VALUE(count == 1 || count == heads || count == batch * heads, "epsilons ", step.epsilons.sizes(),
                      " do not fit ", heads, " heads");
    for (const auto &parameter : {step.norm_weight, step.norm_bias})
      TORCH_CHECK_VALUE(!parameter.defined() || parameter.numel() == heads * values,
                        "weight and bias of the head norm must have ", heads * values, " elements");
    step.log_gammas.assign(o.log_gammas, o.log_gammas + heads);
    step.interleaved = o.interleaved, step.key_scale = o.key_scale, step.kind = o.norm, step.activation = o.activation;
    auto next = in_place ? s : s.contiguous().clone();
    auto result = kernels_for(CT_OP_RETENTION_STEP, q)->retention_decode(step, next);
    if (!result.defined())
      return;
    *out = box(result.unsqueeze(1));
    *state_out = box(next);
  });
}
