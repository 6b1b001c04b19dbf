// Products of queries, keys and values under a diagonal state space, the state of H3 (arXiv 2212.14052), for
// processors.
//
// For every head, with taps K_l = 2 Re(C A^l B) (+ D at l = 0) and N rows per chunk,
//
//   y_r[b] = sum_{s <= r} (q_r . k_s) K_(r-s) v_s[b]  +  sum_a q_r[a] 2 Re(C A^(r+1) X[a, b])
//   X'     = A^N X + sum_s A^(N-1-s) B k_s^T v_s
//
// where X is the state entering the chunk: one complex mode per pair of channels (a, b), all pairs sharing A. The
// tables come from outside, so that their gradients flow on to A, B, C and D:
//
//   read  [H, R, 2M]: the rows (2 Re, -2 Im) of C A^(r+1)      write [H, R, 2M]: (Re, Im) of A^l B
//   power [H, R + 1, 2M]: (Re, Im) of A^e                      taps  [H, N]
//
// with a block R <= N, so that tables stay small whatever the chunk. The backward pass keeps the inputs only and
// computes the states again.
#include "operators.h"

namespace ctorch::cpu {
namespace {

struct HeadSizes {
  int64_t batch, time, heads, size, planes, chunk, block;
};

HeadSizes sizes_of(const at::Tensor &q, const at::Tensor &taps, const at::Tensor &read, int64_t chunk) {
  int64_t heads = taps.size(0);
  return {q.size(0), q.size(1), heads, q.size(2) / heads, read.size(2), chunk, read.size(1)};
}

template <class T>
HeadSequence<T> sequence(const HeadSizes &s, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                         const at::Tensor &taps, const at::Tensor &read, const at::Tensor &write,
                         const at::Tensor &power, const at::Tensor &state, int64_t b, int64_t h) {
  using A = typename Accumulator<T>::type;
  int64_t width = s.heads * s.size, offset = b * s.time * width + h * s.size;
  int64_t rows = s.block * s.planes, state_size = s.planes * s.size * s.size;
  return {data<T>(q) + offset,
          data<T>(k) + offset,
          data<T>(v) + offset,
          width,
          s.time,
          s.size,
          s.planes,
          s.chunk,
          s.block,
          data<A>(taps) + h * s.chunk,
          data<A>(read) + h * rows,
          data<A>(write) + h * rows,
          data<A>(power) + h * (rows + s.planes),
          state.defined() ? data<A>(state) + (b * s.heads + h) * state_size : nullptr};
}

} // namespace

variable_list diagonal_heads(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const HeadTables &tables,
                             const at::Tensor &state, int64_t chunk, bool keeps_state) {
  const auto &taps = tables.taps, &read = tables.read, &write = tables.write, &power = tables.power;
  auto forward = [&]() -> Pass {
    auto s = sizes_of(q, taps, read, chunk);
    auto out = make::empty(q.sizes(), q.options());
    at::Tensor final;
    if (keeps_state)
      final = make::empty({s.batch, s.heads, s.planes, s.size * s.size}, taps.options());
    with_element(q.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const auto &kernels = state_space_kernels<T>();
      int64_t scratch_size = kernels.head_scratch(s.time, s.size, s.planes, s.chunk, s.block, false);
      parallel_for(s.batch * s.heads, 1, [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(scratch_size);
        for (int64_t i = begin; i < end; i++) {
          int64_t b = i / s.heads, h = i % s.heads;
          auto head = sequence<T>(s, q, k, v, taps, read, write, power, state, b, h);
          A *last = final.defined() ? mutable_data<A>(final) + i * s.planes * s.size * s.size : nullptr;
          kernels.head_forward(head, mutable_data<T>(out) + (head.q - data<T>(q)), last, scratch.data());
        }
      });
    });
    return {keeps_state ? variable_list{out, final} : variable_list{out}, {q, k, v, taps, read, write, power, state}};
  };
  auto backward = [chunk, keeps_state](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &q = saved[0], &k = saved[1], &v = saved[2], &taps = saved[3], &read = saved[4], &write = saved[5],
               &power = saved[6], &state = saved[7];
    auto s = sizes_of(q, taps, read, chunk);
    auto out_gradient = gradients[0].defined() ? gradients[0].to(q.scalar_type()).contiguous() : make::zeros_like(q);
    auto final_gradient = keeps_state && gradients[1].defined() ? gradients[1].contiguous() : at::Tensor();
    auto dq = make::empty_like(q), dk = make::empty_like(k), dv = make::empty_like(v);
    auto dtaps = make::zeros_like(taps);
    int64_t row = padded(s.planes);
    auto dread = make::zeros({s.heads, s.block, row}, taps.options()), dwrite = make::zeros_like(dread);
    auto dpower = make::zeros({s.heads, s.block + 1, row}, taps.options());
    auto dstate = state.defined() ? make::empty_like(state) : at::Tensor();
    with_element(q.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const auto &kernels = state_space_kernels<T>();
      int64_t scratch_size = kernels.head_scratch(s.time, s.size, s.planes, s.chunk, s.block, true);
      int64_t state_size = s.planes * s.size * s.size;
      // The rows of a batch add to the tables of one head, so one thread takes them all.
      parallel_for(s.heads, 1, [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(scratch_size);
        for (int64_t h = begin; h < end; h++)
          for (int64_t b = 0; b < s.batch; b++) {
            auto head = sequence<T>(s, q, k, v, taps, read, write, power, state, b, h);
            int64_t offset = head.q - data<T>(q), index = b * s.heads + h;
            HeadGradients<T> wanted{data<T>(out_gradient) + offset,
                                    final_gradient.defined() ? data<A>(final_gradient) + index * state_size : nullptr,
                                    mutable_data<T>(dq) + offset,
                                    mutable_data<T>(dk) + offset,
                                    mutable_data<T>(dv) + offset,
                                    mutable_data<A>(dtaps) + h * s.chunk,
                                    mutable_data<A>(dread) + h * s.block * row,
                                    mutable_data<A>(dwrite) + h * s.block * row,
                                    mutable_data<A>(dpower) + h * (s.block + 1) * row,
                                    state.defined() ? mutable_data<A>(dstate) + index * state_size : nullptr};
            kernels.head_backward(head, wanted, scratch.data());
          }
      });
    });
    auto cut = [&](const at::Tensor &table) { return table.narrow(2, 0, s.planes).contiguous(); };
    return {dq, dk, dv, dtaps, cut(dread), cut(dwrite), cut(dpower), dstate};
  };
  return record({q, k, v, taps, read, write, power, state}, forward, backward, MissingGradients::undefined);
}

at::Tensor diagonal_heads_step(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &x,
                               const at::Tensor &a, const at::Tensor &i, const at::Tensor &r, const at::Tensor &d) {
  int64_t heads = x.size(1), size = q.size(1) / heads, planes = x.size(2);
  auto y = make::empty_like(q);
  with_element(q.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    A *states = mutable_data<A>(x);
    parallel_for(q.size(0) * heads, row_grain(planes * size * size), [&](int64_t begin, int64_t end) {
      std::vector<A> scratch(2 * size * size);
      for (int64_t n = begin; n < end; n++) {
        int64_t h = n % heads;
        state_space_kernels<T>().head_step(data<T>(q) + n * size, data<T>(k) + n * size, data<T>(v) + n * size,
                                           states + n * planes * size * size, data<A>(a) + h * planes,
                                           data<A>(i) + h * planes, data<A>(r) + h * planes, data<A>(d)[h],
                                           mutable_data<T>(y) + n * size, size, planes / 2, scratch.data());
      }
    });
  });
  return y;
}

at::Tensor diagonal_step(const at::Tensor &u, const at::Tensor &x, const at::Tensor &a, const at::Tensor &i,
                         const at::Tensor &r) {
  int64_t channels = u.size(1), modes = x.size(3);
  auto y = make::empty_like(u);
  with_element(u.scalar_type(), [&]<class T>() {
    if constexpr (!std::is_same_v<T, BF16>) {
      T *states = mutable_data<T>(x), *to = mutable_data<T>(y);
      for (int64_t b = 0; b < u.size(0); b++)
        parallel_for(channels, row_grain(2 * modes), [&](int64_t begin, int64_t end) {
          int64_t from = begin * 2 * modes, row = b * channels + begin;
          state_space_kernels<T>().diagonal_step(data<T>(u) + row, states + row * 2 * modes, data<T>(a) + from,
                                                 data<T>(i) + from, data<T>(r) + from, to + row, end - begin, modes);
        });
    }
  });
  return y;
}

} // namespace ctorch::cpu
