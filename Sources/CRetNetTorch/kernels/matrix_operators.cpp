// Gated scores and the gradients of gates: see matrix_operators.h.
#include "matrix_operators.h"

namespace ctorch {

GateTable::GateTable(const at::Tensor &log_gates, const Span &span) {
  int64_t count = log_gates.size(0), time = log_gates.size(1), length = span.length;
  sums = at::empty({count, length}, at::kDouble);
  until = at::empty({count, length}, log_gates.options());
  after = at::empty_like(until);
  whole = at::empty({count}, log_gates.options());
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
  auto out = g.share == 1 ? scores : at::empty({g.heads(), length, length}, scores.options());
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
  auto out = g.share == 1 ? scores : at::empty_like(d);
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

} // namespace ctorch
