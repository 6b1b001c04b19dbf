// Products of queries, keys and values under a diagonal state space: the memory of H3 (arXiv 2212.14052).
//
// For every head, with taps K_l = 2 Re(C A^l B) (+ D at l = 0) and N rows a chunk,
//
//   y_r[b] = sum_{s <= r} (q_r . k_s) K_(r-s) v_s[b]  +  sum_a q_r[a] 2 Re(C A^(r+1) X[a, b])
//   X'     = A^N X + sum_s A^(N-1-s) B k_s^T v_s
//
// where X is the state entering the chunk: one complex mode a pair of channels (a, b), all pairs sharing A. The
// tables come from outside, so that their gradients flow on to A, B, C and D:
//
//   read  [H, R, 2M]: the rows (2 Re, -2 Im) of C A^(r+1)      write [H, R, 2M]: (Re, Im) of A^l B
//   power [H, R + 1, 2M]: (Re, Im) of A^e                      taps  [H, N]
//
// with a block R <= N, so that tables stay small whatever the chunk. The backward pass keeps the inputs only and
// computes the states again.
#include "operators.h"

namespace ctorch {
namespace {

struct Sizes {
  int64_t batch, time, heads, size, planes, chunk, block;
};

Sizes sizes_of(const at::Tensor &q, const at::Tensor &taps, const at::Tensor &read, int64_t chunk) {
  int64_t heads = taps.size(0);
  return {q.size(0), q.size(1), heads, q.size(2) / heads, read.size(2), chunk, read.size(1)};
}

template <class T>
HeadSequence<T> sequence(const Sizes &s, const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
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

struct DiagonalHeads : torch::autograd::Function<DiagonalHeads> {
  static variable_list forward(AutogradContext *context, const at::Tensor &q, const at::Tensor &k,
                               const at::Tensor &v, const at::Tensor &taps, const at::Tensor &read,
                               const at::Tensor &write, const at::Tensor &power, const OptionalTensor &given_state,
                               int64_t chunk) {
    auto state = given_state.value_or(at::Tensor());
    context->save_for_backward({q, k, v, taps, read, write, power, state});
    context->saved_data["chunk"] = chunk;
    auto s = sizes_of(q, taps, read, chunk);
    auto out = at::empty(q.sizes(), q.options());
    auto final = at::empty({s.batch, s.heads, s.planes, s.size * s.size}, taps.options());
    with_element(q.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const auto &kernels = state_space_kernels<T>();
      int64_t scratch_size = kernels.head_scratch(s.time, s.size, s.planes, s.chunk, s.block, false);
      parallel_for(s.batch * s.heads, 1, [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(scratch_size);
        for (int64_t i = begin; i < end; i++) {
          int64_t b = i / s.heads, h = i % s.heads;
          auto head = sequence<T>(s, q, k, v, taps, read, write, power, state, b, h);
          kernels.head_forward(head, mutable_data<T>(out) + (head.q - data<T>(q)),
                               mutable_data<A>(final) + i * s.planes * s.size * s.size, scratch.data());
        }
      });
    });
    return {out, final};
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2], &taps = saved[3], &read = saved[4], &write = saved[5],
               &power = saved[6], &state = saved[7];
    auto s = sizes_of(q, taps, read, context->saved_data["chunk"].toInt());
    auto out_gradient = gradients[0].defined() ? gradients[0].to(q.scalar_type()).contiguous() : at::zeros_like(q);
    auto final_gradient = gradients[1].defined() ? gradients[1].contiguous() : at::Tensor();
    auto dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
    auto dtaps = at::zeros_like(taps);
    int64_t row = padded(s.planes);
    auto dread = at::zeros({s.heads, s.block, row}, taps.options()), dwrite = at::zeros_like(dread);
    auto dpower = at::zeros({s.heads, s.block + 1, row}, taps.options());
    auto dstate = state.defined() ? at::empty_like(state) : at::Tensor();
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
    return {dq, dk, dv, dtaps, cut(dread), cut(dwrite), cut(dpower), dstate, at::Tensor()};
  }
};

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_diagonal_heads(ct_tensor *out, ct_tensor *state_out, ct_tensor query, ct_tensor key, ct_tensor value,
                            ct_tensor taps, ct_tensor read, ct_tensor write, ct_tensor power, ct_tensor state) {
  return guarded([&] {
    const auto &q = query->value, &k = key->value, &v = value->value, &filter = taps->value;
    auto s = maybe(state);
    int64_t heads = filter.dim() == 2 ? filter.size(0) : 0;
    TORCH_CHECK_VALUE(q.dim() == 3 && heads >= 1 && q.size(1) >= 1 && q.size(2) % heads == 0 &&
                          k.sizes() == q.sizes() && v.sizes() == q.sizes(),
                      "queries ", q.sizes(), ", keys ", k.sizes(), ", values ", v.sizes(), " and taps ",
                      filter.sizes(), " do not fit");
    TORCH_CHECK_VALUE(has_row_kernels(q) && k.scalar_type() == q.scalar_type() && v.scalar_type() == q.scalar_type(),
                      "queries, keys and values must have one element type and lie in the memory of the CPU");
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
    auto results = DiagonalHeads::apply(q.contiguous(), k.contiguous(), v.contiguous(), prepare(filter), prepare(r),
                                        prepare(w), prepare(e), given(s.defined() ? prepare(s) : s), chunk);
    *out = box(results[0]);
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
                        "a table of ", heads, " heads must have ", planes, " numbers a head, found ", table->sizes());
    TORCH_CHECK_VALUE(d.numel() == heads && d.is_contiguous() && d.scalar_type() == type,
                      "the skip needs one number a head, found ", d.sizes());
    TORCH_CHECK_VALUE(has_row_kernels(q) && k.scalar_type() == q.scalar_type() && v.scalar_type() == q.scalar_type(),
                      "queries, keys and values must have one element type and lie in the memory of the CPU");
    auto y = at::empty_like(q);
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
    *out = box(y);
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
                        "a table must have ", 2 * modes, " numbers a channel, found ", table->sizes());
    TORCH_CHECK_VALUE(x.device().is_cpu() && (u.scalar_type() == at::kFloat || u.scalar_type() == at::kDouble),
                      "the step of a diagonal state space is for float32 and float64 in the memory of the CPU");
    auto y = at::empty_like(u);
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
    *out = box(y);
  });
}

// ---- Small helpers of the state spaces ----

ct_status ct_atan2(ct_tensor *out, ct_tensor y, ct_tensor x) {
  return guarded([&] { *out = box(at::atan2(y->value, x->value)); });
}

// A fingerprint of the bytes of host tensors. Eight lanes of multiply and add run at the speed of memory.
ct_status ct_fingerprint(uint64_t *out, const ct_tensor *tensors, int32_t count) {
  return guarded([&] {
    uint64_t lanes[8] = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb, 0xd6e8feb86659fd93,
                         0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3, 0x589965cc75374cc3};
    constexpr uint64_t kFactor = 0x9ddfea08eb382d69;
    for (const auto &tensor : list(tensors, count)) {
      TORCH_CHECK_VALUE(tensor.device().is_cpu(), "only tensors in the memory of the CPU have a fingerprint");
      auto flat = tensor.contiguous();
      const auto *bytes = static_cast<const unsigned char *>(flat.const_data_ptr());
      size_t size = flat.nbytes(), i = 0;
      for (; i + 64 <= size; i += 64) {
        uint64_t words[8];
        __builtin_memcpy(words, bytes + i, 64);
        for (int j = 0; j < 8; j++)
          lanes[j] = (lanes[j] ^ words[j]) * kFactor + 1;
      }
      for (; i < size; i++)
        lanes[i % 8] = (lanes[i % 8] ^ bytes[i]) * kFactor + 1;
      lanes[0] ^= size;
    }
    uint64_t hash = 0;
    for (auto lane : lanes) {
      hash = (hash ^ lane ^ (lane >> 29)) * kFactor;
      hash ^= hash >> 32;
    }
    *out = hash;
  });
}
