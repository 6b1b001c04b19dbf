// Mixers whose state is a matrix per head, and diagonal state spaces: checks. Their other forms are written in Swift.
#include "../library/profile.h"
#include "table.h"

namespace ctorch {
namespace {

// Arguments of all operators: q, k [B, G, T, K], v [B, H, T, V], H a multiple of G, state [B, H, K, V].
void check_matrix_state(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &state) {
  TORCH_CHECK_VALUE(q.dim() == 4 && k.sizes() == q.sizes() && v.dim() == 4 && v.size(0) == q.size(0) &&
                        v.size(2) == q.size(2) && q.size(1) >= 1 && v.size(1) % q.size(1) == 0 && q.size(2) >= 1,
                    "queries ", q.sizes(), ", keys ", k.sizes(), " and values ", v.sizes(), " do not fit");
  TORCH_CHECK_VALUE(!state.defined() ||
                        (state.dim() == 4 && state.size(0) == v.size(0) && state.size(1) == v.size(1) &&
                         state.size(2) == q.size(3) && state.size(3) == v.size(3)),
                    "the state ", state.sizes(), " does not fit queries ", q.sizes(), " and values ", v.sizes());
}
void check_one_type(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v) {
  TORCH_CHECK_TYPE(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
                   "queries, keys and values must have one element type");
}
void check_gates(const at::Tensor &gates, const at::Tensor &v, int64_t channels) {
  bool fits = gates.dim() == (channels ? 4 : 3) && gates.size(0) == v.size(0) && gates.size(1) == v.size(1) &&
              gates.size(2) == v.size(2) && (!channels || gates.size(3) == channels);
  TORCH_CHECK_VALUE(fits, "gates ", gates.sizes(), " do not fit values ", v.sizes());
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_gated_retention(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key, ct_tensor value,
                             ct_tensor log_gates, ct_tensor state, int64_t chunk) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto q = query->value, k = key->value, v = value->value;
    const auto &logs = log_gates->value;
    auto s = maybe(state);
    check_matrix_state(q, k, v, s);
    check_one_type(q, k, v);
    check_gates(logs, v, 0);
    auto type = widen_operands(v, q, k);
    TORCH_CHECK_VALUE(chunk >= 1, "the chunk length must be at least 1, found ", chunk);
    auto results =
        required_kernels(CT_OP_GATED_RETENTION, q).gated_retention(q, k, v, logs, s, std::min(chunk, q.size(2)));
    *out = results.empty() ? nullptr : box(results[0].to(type));
    *state_out = results.empty() ? nullptr : box(results[1]);
  });
}

ct_status ct_channel_gated_retention(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key,
                                     ct_tensor value, ct_tensor log_gates, ct_tensor state, int64_t chunk) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto q = query->value, k = key->value, v = value->value;
    const auto &logs = log_gates->value;
    auto s = maybe(state);
    check_matrix_state(q, k, v, s);
    check_one_type(q, k, v);
    check_gates(logs, v, q.size(3));
    TORCH_CHECK_VALUE(q.size(1) == v.size(1), "gates of channels need queries and keys for each of the ", v.size(1),
                      " heads, found ", q.size(1));
    auto type = widen_operands(v, q, k);
    TORCH_CHECK_VALUE(chunk >= 1, "the chunk length must be at least 1, found ", chunk);
    chunk = std::min({chunk, q.size(2), kGateChunk});
    auto results = required_kernels(CT_OP_MATRIX_STATE, q).channel_gates(q, k, v, logs, s, chunk);
    *out = box(results[0].to(type));
    *state_out = box(results[1]);
  });
}

ct_status ct_delta_rule(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key, ct_tensor value,
                        ct_tensor log_gates, ct_tensor beta, ct_tensor state, int64_t chunk, bool trains) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto q = query->value, k = key->value, v = value->value;
    const auto &b = beta->value;
    auto s = maybe(state), logs = maybe(log_gates);
    check_matrix_state(q, k, v, s);
    check_gates(b, v, 0);
    if (logs.defined())
      check_gates(logs, v, 0);
    TORCH_CHECK_VALUE(q.size(1) == v.size(1), "the delta rule needs queries and keys for each of the ", v.size(1),
                      " heads, found ", q.size(1));
    auto type = widen_operands(v, q, k);
    TORCH_CHECK_VALUE(chunk >= 1, "the chunk length must be at least 1, found ", chunk);
    chunk = std::min({chunk, q.size(2), kDeltaChunk});
    auto results = required_kernels(CT_OP_MATRIX_STATE, v).delta_rule(q, k, v, logs, b, s, chunk, trains);
    *out = box(results[0].to(type));
    *state_out = box(results[1]);
  });
}

ct_status ct_matrix_recurrence(ct_tensor *out, ct_tensor query, ct_tensor key, ct_tensor value, ct_tensor log_gates,
                               ct_tensor beta, ct_tensor state) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto q = query->value.contiguous(), k = key->value.contiguous(), v = value->value.contiguous();
    auto s = state->value, logs = maybe(log_gates), betas = maybe(beta);
    check_matrix_state(q, k, v, s);
    check_one_type(q, k, v);
    auto type = accumulator_type(q.scalar_type());
    TORCH_CHECK_TYPE(s.scalar_type() == type, "the state must be float32, or float64 with float64 queries");
    TORCH_CHECK_VALUE(s.is_contiguous(), "a state updated in place must be contiguous");
    if (logs.defined()) {
      check_gates(logs, v, logs.dim() == 4 ? q.size(3) : 0);
      logs = logs.to(type).contiguous();
    }
    if (betas.defined()) {
      check_gates(betas, v, 0);
      betas = betas.to(type).contiguous();
    }
    *out = box(required_kernels(CT_OP_MATRIX_STATE, q).matrix_recurrence(q, k, v, logs, betas, s));
  });
}

// ---- Diagonal state spaces ----

ct_status ct_diagonal_heads(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key, ct_tensor value,
                            ct_tensor taps, ct_tensor read, ct_tensor write, ct_tensor power, ct_tensor state) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    const auto &q = query->value, &k = key->value, &v = value->value, &filter = taps->value;
    auto s = maybe(state);
    int64_t heads = filter.dim() == 2 ? filter.size(0) : 0;
    TORCH_CHECK_VALUE(q.dim() == 3 && heads >= 1 && q.size(1) >= 1 && q.size(2) % heads == 0 &&
                          k.sizes() == q.sizes() && v.sizes() == q.sizes(),
                      "queries ", q.sizes(), ", keys ", k.sizes(), ", values ", v.sizes(), " and taps ",
                      filter.sizes(), " do not fit");
    check_one_type(q, k, v);
    auto type = accumulator_type(q.scalar_type());
    int64_t size = q.size(2) / heads, chunk = filter.size(1);
    const auto &r = read->value, &w = write->value, &e = power->value;
    TORCH_CHECK_VALUE(r.dim() == 3 && w.sizes() == r.sizes() && e.dim() == 3 && r.size(0) == heads &&
                          e.size(0) == heads && r.size(1) >= 1 && r.size(1) <= chunk && e.size(1) == r.size(1) + 1 &&
                          e.size(2) == r.size(2) && r.size(2) % 2 == 0,
                      "the tables ", r.sizes(), ", ", w.sizes(), " and ", e.sizes(), " do not fit taps ",
                      filter.sizes());
    TORCH_CHECK_VALUE(!s.defined() || (s.dim() == 4 && s.size(0) == q.size(0) && s.size(1) == heads &&
                                       s.size(2) == r.size(2) && s.size(3) == size * size),
                      "the state ", s.sizes(), " does not fit queries ", q.sizes());
    auto prepare = [&](const at::Tensor &t) { return t.to(type).contiguous(); };
    HeadTables tables{prepare(filter), prepare(r), prepare(w), prepare(e)};
    auto results = required_kernels(CT_OP_DIAGONAL_HEADS, q)
                       .diagonal_heads(q.contiguous(), k.contiguous(), v.contiguous(), tables,
                                       s.defined() ? prepare(s) : s, chunk, state_out != nullptr);
    *out = box(results[0]);
    if (state_out)
      *state_out = box(results[1]);
  });
}

ct_status ct_diagonal_heads_step(ct_tensor *out, ct_tensor query, ct_tensor key, ct_tensor value, ct_tensor state,
                                 ct_tensor alpha, ct_tensor input, ct_tensor readout, ct_tensor skip) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto q = query->value.contiguous(), k = key->value.contiguous(), v = value->value.contiguous();
    const auto &x = state->value, &a = alpha->value, &i = input->value, &r = readout->value, &d = skip->value;
    auto type = accumulator_type(q.scalar_type());
    TORCH_CHECK_VALUE(q.dim() == 2 && k.sizes() == q.sizes() && v.sizes() == q.sizes() && x.dim() == 4 &&
                          x.size(0) == q.size(0) && x.size(1) >= 1 && q.size(1) % x.size(1) == 0,
                      "queries ", q.sizes(), " and the state ", x.sizes(), " do not fit");
    int64_t heads = x.size(1), size = q.size(1) / heads, planes = x.size(2);
    TORCH_CHECK_VALUE(x.size(3) == size * size && planes % 2 == 0 && x.is_contiguous() && x.scalar_type() == type,
                      "the state ", x.sizes(), " does not fit ", heads, " heads of ", size);
    for (const auto *table : {&a, &i, &r})
      TORCH_CHECK_VALUE(table->numel() == heads * planes && table->is_contiguous() && table->scalar_type() == type,
                        "a table of ", heads, " heads must have ", planes, " numbers per head, found ",
                        table->sizes());
    TORCH_CHECK_VALUE(d.numel() == heads && d.is_contiguous() && d.scalar_type() == type,
                      "the skip needs one number per head, found ", d.sizes());
    check_one_type(q, k, v);
    *out = box(required_kernels(CT_OP_DIAGONAL_HEADS, q).diagonal_heads_step(q, k, v, x, a, i, r, d));
  });
}

ct_status ct_diagonal_step(ct_tensor *out, ct_tensor input_row, ct_tensor state, ct_tensor alpha, ct_tensor input,
                           ct_tensor readout) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto &x = state->value, &a = alpha->value, &i = input->value, &r = readout->value;
    auto u = input_row->value.contiguous();
    TORCH_CHECK_VALUE(u.dim() == 2 && x.dim() == 4 && x.size(0) == u.size(0) && x.size(1) == u.size(1) &&
                          x.size(2) == 2 && x.is_contiguous() && x.scalar_type() == u.scalar_type(),
                      "the input ", u.sizes(), " and the state ", x.sizes(), " do not fit");
    int64_t channels = u.size(1), modes = x.size(3);
    for (const auto *table : {&a, &i, &r})
      TORCH_CHECK_VALUE(table->numel() == channels * 2 * modes && table->is_contiguous() &&
                            table->scalar_type() == u.scalar_type(),
                        "a table must have ", 2 * modes, " numbers per channel, found ", table->sizes());
    *out = box(required_kernels(CT_OP_DIAGONAL_STEP, u).diagonal_step(u, x, a, i, r));
  });
}
