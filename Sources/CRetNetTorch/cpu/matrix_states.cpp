// Gated scores, gradients of gates, and the recurrent form of mixers with a matrix as their state: position by
// position in one pass over the state.
#include "matrix_states.h"

namespace ctorch::cpu {

GateTable::GateTable(const at::Tensor &log_gates, const Span &span) {
  int64_t count = log_gates.size(0), time = log_gates.size(1), length = span.length;
  sums = make::empty({count, length}, at::kDouble);
  until = make::empty({count, length}, log_gates.options());
  after = make::empty_like(until);
  whole = make::empty({count}, log_gates.options());
  with_accumulator(log_gates.scalar_type(), [&]<class A>() {
    const A *logs = data<A>(log_gates);
    double *s = mutable_data<double>(sums);
    A *u = mutable_data<A>(until), *a = mutable_data<A>(after), *w = mutable_data<A>(whole);
    parallel_for(count, row_grain(length * 16), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; n++) {
        double total = 0, *row = s + n * length;
        for (int64_t t = 0; t < length; t++) {
          double log = logs[n * time + span.start + t];
          total += log < kSmallestLog ? kSmallestLog : log;
          row[t] = total;
        }
        for (int64_t t = 0; t < length; t++) {
          u[n * length + t] = A(std::exp(row[t]));
          a[n * length + t] = A(std::exp(total - row[t]));
        }
        w[n] = A(std::exp(total));
      }
    });
  });
}

at::Tensor gated_scores(const at::Tensor &scores, const GateTable &gates, const Groups &g) {
  int64_t length = scores.size(1);
  auto out = g.share == 1 ? scores : make::empty({g.heads(), length, length}, scores.options());
  with_element(scores.scalar_type(), [&]<class T>() {
    const T *from = data<T>(scores);
    const double *sums = data<double>(gates.sums);
    T *to = mutable_data<T>(out);
    parallel_for(g.heads() * length, row_grain(length * 4), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / length, r = i % length;
        matrix_state_kernels<T>().gate_row(from + (n / g.share * length + r) * length, sums + n * length, r,
                                           to + i * length, length);
      }
    });
  });
  return out;
}

at::Tensor gated_scores_backward(const at::Tensor &scores, at::Tensor &d, const GateTable &gates, const Groups &g,
                                 at::Tensor &balance) {
  int64_t length = scores.size(1);
  auto out = g.share == 1 ? scores : make::empty_like(d);
  with_element(scores.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *from = data<T>(scores);
    const double *sums = data<double>(gates.sums);
    T *to = mutable_data<T>(out), *gradient = mutable_data<T>(d);
    A *difference = mutable_data<A>(balance);
    parallel_for(g.heads(), row_grain(length * length * 4), [&](int64_t begin, int64_t end) {
      std::vector<A> columns(length);
      for (int64_t n = begin; n < end; n++) {
        std::fill(columns.begin(), columns.end(), A(0));
        for (int64_t r = 0; r < length; r++) {
          int64_t at = (n * length + r) * length;
          difference[n * length + r] = matrix_state_kernels<T>().gate_row_backward(
              from + (n / g.share * length + r) * length, sums + n * length, r, to + at, gradient + at,
              columns.data(), length);
        }
        for (int64_t s = 0; s < length; s++)
          difference[n * length + s] -= columns[s];
      }
    });
  });
  return out;
}

at::Tensor log_gradients(const at::Tensor &reading, const at::Tensor &kept, const at::Tensor &whole) {
  auto from_here = reading.to(at::kDouble).flip({1}).cumsum(1).flip({1});
  auto before = kept.to(at::kDouble).cumsum(1) - kept;
  return (from_here + before + whole.unsqueeze(1)).to(reading.scalar_type());
}

at::Tensor matrix_recurrence(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &logs,
                             const at::Tensor &betas, at::Tensor &s) {
  int64_t heads = v.size(1), time = v.size(2), rows = q.size(3), size = v.size(3), share = heads / q.size(1);
  int32_t kind = !logs.defined() ? kNoGate : logs.dim() == 4 ? kChannelGate : kHeadGate;
  int64_t gate_size = kind == kChannelGate ? rows : 1;
  auto result = make::empty_like(v);
  int64_t count = v.size(0) * heads, slices = column_slices(count, size, 64);
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
  return result;
}

} // namespace ctorch::cpu
