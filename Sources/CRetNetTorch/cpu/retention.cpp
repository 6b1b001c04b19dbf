// Steps of retention for processors: decays applied row by row, and the recurrent step in one pass over the state.
#include "operators.h"

#include <cmath>

namespace ctorch::cpu {
namespace {

at::Tensor scale_rows(const at::Tensor &x, const at::Tensor &factors, int64_t heads) {
  int64_t count = x.size(0), length = x.size(1), size = x.size(2);
  auto in = x.stride(2) == 1 ? x : x.contiguous();
  auto out = make::empty({count, length, size}, x.options());
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

// D is applied by a select, so no power of a decay rounded to 1 leaks. In place where the scores are contiguous.
at::Tensor apply_decay(at::Tensor scores, const at::Tensor &descending, const std::vector<double> &log_gammas) {
  int64_t count = scores.size(0), length = scores.size(1), heads = static_cast<int64_t>(log_gammas.size());
  int64_t chunk = descending.size(1) - 1;
  scores = scores.contiguous();
  with_element(scores.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    T *a = mutable_data<T>(scores);
    const A *table = data<A>(descending);
    parallel_for(count * length, row_grain(length), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t n = i / length, r = i % length;
        // descending[chunk - r + s] = g^(r - s)
        const A *row = table + n % heads * (chunk + 1) + chunk - r;
        row_kernels<T>().decay_mask(a + i * length, row, r + 1, length);
      }
    });
  });
  return scores;
}

void carry(at::Tensor &total, const at::Tensor &addend, const std::vector<double> &factors) {
  int64_t heads = static_cast<int64_t>(factors.size());
  auto source = addend.contiguous();
  int64_t block = total.size(1) * total.size(2);
  with_element(source.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    A *t = mutable_data<A>(total);
    const T *s = data<T>(source);
    parallel_for(total.size(0), row_grain(block), [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; n++)
        row_kernels<T>().accumulate(t + n * block, A(factors[n % heads]), s + n * block, block);
    });
  });
}

} // namespace

const RetentionSteps retention{scale_rows, apply_decay, carry};

at::Tensor retention_step(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, at::Tensor &state,
                          const double *log_gammas, int64_t heads) {
  auto out = make::empty_like(v);
  int64_t count = q.size(0) * heads, key_size = q.size(2), value_size = v.size(2);
  int64_t slices = column_slices(count, value_size, 128);
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
  return out;
}

} // namespace ctorch::cpu
