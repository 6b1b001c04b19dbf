// Rows of tokens sent to experts and back, for processors. Slots lie sorted by expert, so nothing is multiplied by
// one-hot matrices and no sum depends on the threads. Rows of empty slots, of token -1, are zeros on the way there
// and lost on the way back.
#include "operators.h"

namespace ctorch::cpu {
namespace {

// The slots of every token, as offsets [N + 1] into a list of slots.
struct SlotLists {
  std::vector<int64_t> offsets, slots;
};

SlotLists slots_of_tokens(const at::Tensor &slot_tokens, int64_t tokens) {
  const int64_t *token = slot_tokens.const_data_ptr<int64_t>();
  int64_t count = slot_tokens.numel();
  SlotLists lists{std::vector<int64_t>(tokens + 1), std::vector<int64_t>(count)};
  for (int64_t s = 0; s < count; s++)
    if (token[s] >= 0)
      lists.offsets[token[s] + 1]++;
  for (int64_t n = 0; n < tokens; n++)
    lists.offsets[n + 1] += lists.offsets[n];
  auto next = lists.offsets;
  for (int64_t s = 0; s < count; s++)
    if (token[s] >= 0)
      lists.slots[next[token[s]]++] = s;
  return lists;
}

// out[n] = sum over the slots of token n of gates[slot] rows[slot]; without gates the plain sum.
at::Tensor gather_back(const at::Tensor &rows, const at::Tensor &gates, const at::Tensor &slot_tokens,
                       int64_t tokens) {
  auto lists = slots_of_tokens(slot_tokens, tokens);
  int64_t d = rows.size(1);
  auto out = make::empty({tokens, d}, rows.options());
  with_element(rows.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *in = data<T>(rows);
    const A *gate = data<A>(gates);
    T *to = mutable_data<T>(out);
    parallel_for(tokens, row_grain(d), [&](int64_t begin, int64_t end) {
      std::vector<A> sum(d);
      for (int64_t n = begin; n < end; n++) {
        std::fill(sum.begin(), sum.end(), A(0));
        for (int64_t i = lists.offsets[n]; i < lists.offsets[n + 1]; i++) {
          int64_t s = lists.slots[i];
          stream_kernels<T>().weighted_row(in + s * d, gate ? gate[s] : A(1), sum.data(), d);
        }
        stream_kernels<T>().store_row(sum.data(), to + n * d, d);
      }
    });
  });
  return out;
}

// out[slot] = x[token of slot], times the gate of the slot where there is one; zeros for empty slots.
at::Tensor send(const at::Tensor &x, const at::Tensor &gates, const at::Tensor &slot_tokens) {
  int64_t d = x.size(1), count = slot_tokens.numel();
  auto out = make::empty({count, d}, x.options());
  const int64_t *token = slot_tokens.const_data_ptr<int64_t>();
  with_element(x.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *in = data<T>(x);
    const A *gate = data<A>(gates);
    T *to = mutable_data<T>(out);
    parallel_for(count, row_grain(d), [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; s++)
        if (token[s] < 0)
          std::fill(to + s * d, to + (s + 1) * d, T(0));
        else
          stream_kernels<T>().scaled_row(in + token[s] * d, gate ? gate[s] : A(1), to + s * d, d);
    });
  });
  return out;
}

} // namespace

at::Tensor dispatch(const at::Tensor &x, const at::Tensor &slot_tokens) {
  auto backward = [tokens = x.size(0)](const variable_list &saved, variable_list &gradients) -> variable_list {
    return {gather_back(gradients[0].contiguous(), at::Tensor(), saved[0], tokens)};
  };
  return record({x}, [&]() -> Pass { return {{send(x, at::Tensor(), slot_tokens)}, {slot_tokens}}; }, backward)[0];
}

at::Tensor collect(const at::Tensor &rows, const at::Tensor &gates, const at::Tensor &slot_tokens, int64_t tokens) {
  auto forward = [&]() -> Pass {
    return {{gather_back(rows, gates, slot_tokens, tokens)}, {rows, gates, slot_tokens}};
  };
  auto backward = [](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &rows = saved[0], &gates = saved[1], &slot_tokens = saved[2];
    auto g = gradients[0].contiguous();
    auto gate_gradient = make::empty_like(gates);
    const int64_t *token = slot_tokens.const_data_ptr<int64_t>();
    int64_t d = rows.size(1);
    with_element(rows.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *in = data<T>(rows), *from = data<T>(g);
      A *to = mutable_data<A>(gate_gradient);
      parallel_for(rows.size(0), row_grain(d), [&](int64_t begin, int64_t end) {
        for (int64_t s = begin; s < end; s++)
          to[s] = token[s] < 0 ? A(0) : static_cast<A>(stream_kernels<T>().dot(in + s * d, from + token[s] * d, d));
      });
    });
    return {send(g, gates, slot_tokens), gate_gradient};
  };
  return record({rows, gates}, forward, backward)[0];
}

} // namespace ctorch::cpu
