// The recurrent form of mixers with a matrix as their memory: position by position in one pass over the state.
#include "matrix_operators.h"

using namespace ctorch;

ct_status ct_matrix_recurrence(ct_tensor *out, ct_tensor query, ct_tensor key, ct_tensor value, ct_tensor log_gates,
                               ct_tensor strengths, ct_tensor state) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto q = query->value.contiguous(), k = key->value.contiguous(), v = value->value.contiguous();
    auto s = state->value, logs = maybe(log_gates), betas = maybe(strengths);
    check_matrix_state(q, k, v, s);
    check_one_type(q, k, v);
    auto type = accumulator_type(q.scalar_type());
    TORCH_CHECK_TYPE(s.scalar_type() == type, "the state must be float32, or float64 with float64 queries");
    TORCH_CHECK_VALUE(s.is_contiguous(), "a state updated in place must be contiguous");
    int64_t heads = v.size(1), time = v.size(2), rows = q.size(3), size = v.size(3), share = heads / q.size(1);
    int32_t kind = !logs.defined() ? kNoGate : logs.dim() == 4 ? kChannelGate : kHeadGate;
    int64_t gate_size = kind == kChannelGate ? rows : 1;
    if (logs.defined()) {
      check_gates(logs, v, kind == kChannelGate ? rows : 0);
      logs = logs.to(type).contiguous();
    }
    if (betas.defined()) {
      check_gates(betas, v, 0);
      betas = betas.to(type).contiguous();
    }
    auto result = at::empty_like(v);
    // Columns of the state are independent, so one sequence with few heads still uses every core.
    int64_t slices = std::max<int64_t>(1, std::min<int64_t>(size / 64, 8)), count = v.size(0) * heads;
    with_element(q.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *qp = data<T>(q), *kp = data<T>(k), *vp = data<T>(v);
      const A *gates = data<A>(logs), *beta = data<A>(betas);
      A *sp = mutable_data<A>(s);
      T *op = mutable_data<T>(result);
      const auto &kernels = matrix_state_kernels<T>();
      parallel_for(count * slices, row_grain(time * rows * size / slices), [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(3 * size + 2 * rows);
        for (int64_t i = begin; i < end; i++) {
          int64_t n = i / slices, slice = i % slices, g = n / share;
          int64_t first = size * slice / slices, last = size * (slice + 1) / slices;
          for (int64_t t = 0; t < time; t++) {
            int64_t at = n * time + t, shared = (g * time + t) * rows;
            kernels.step(qp + shared, kp + shared, vp + at * size + first, sp + n * rows * size + first,
                         gates ? gates + at * gate_size : nullptr, kind, beta != nullptr, beta ? beta[at] : A(0),
                         op + at * size + first, rows, last - first, size, scratch.data());
          }
        }
      });
    });
    *out = box(result);
  });
}
