// Sparse mixtures of experts, given who goes where (routing.cpp): the way to the experts and back, and one matrix product
// an expert.
//
// Slots lie sorted by expert, so nothing is multiplied by one-hot matrices and no sum depends on the threads. Rows of empty
// slots, of token -1, are zeros on the way there and lost on the way back.
#include "operators.h"

#include <ATen/ops/mm.h>
#include <algorithm>
#include <numeric>

namespace ctorch {
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
  auto out = at::empty({tokens, d}, rows.options());
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
  auto out = at::empty({count, d}, x.options());
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

struct Dispatch : torch::autograd::Function<Dispatch> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x, const at::Tensor &slot_tokens) {
    context->save_for_backward({slot_tokens});
    context->saved_data["tokens"] = x.size(0);
    return send(x, at::Tensor(), slot_tokens);
  }
  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto slot_tokens = context->get_saved_variables()[0];
    return {gather_back(gradients[0].contiguous(), at::Tensor(), slot_tokens, context->saved_data["tokens"].toInt()),
            at::Tensor()};
  }
};

struct Collect : torch::autograd::Function<Collect> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &rows, const at::Tensor &gates,
                            const at::Tensor &slot_tokens, int64_t tokens) {
    context->save_for_backward({rows, gates, slot_tokens});
    return gather_back(rows, gates, slot_tokens, tokens);
  }
  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &rows = saved[0], &gates = saved[1], &slot_tokens = saved[2];
    auto g = gradients[0].contiguous();
    auto gate_gradient = at::empty_like(gates);
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
    return {send(g, gates, slot_tokens), gate_gradient, at::Tensor(), at::Tensor()};
  }
};

// rows [M, in] times the matrix of the expert that each row belongs to: weight [E, out, in], bias [E, out].
struct GroupedLinear : torch::autograd::Function<GroupedLinear> {
  template <class Body> static void for_groups(const std::vector<int64_t> &counts, Body &&body) {
    int64_t start = 0;
    for (size_t e = 0; e < counts.size(); start += counts[e], e++)
      body(static_cast<int64_t>(e), start, counts[e]);
  }
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x, const at::Tensor &weight,
                            const OptionalTensor &bias, std::vector<int64_t> counts) {
    context->save_for_backward({x, weight});
    context->saved_data["counts"] = counts;
    context->saved_data["bias"] = bias.has_value();
    auto out = at::empty({x.size(0), weight.size(1)}, x.options());
    for_groups(counts, [&](int64_t e, int64_t start, int64_t count) {
      if (count == 0)
        return;
      auto target = out.narrow(0, start, count), rows = x.narrow(0, start, count), matrix = weight[e].t();
      if (bias)
        at::addmm_out(target, (*bias)[e], rows, matrix);
      else
        at::mm_out(target, rows, matrix);
    });
    return out;
  }
  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    auto counts = context->saved_data["counts"].toIntVector();
    auto g = gradients[0].contiguous();
    auto dx = at::empty_like(x), dw = at::empty_like(weight);
    at::Tensor db;
    if (context->saved_data["bias"].toBool())
      db = at::empty({weight.size(0), weight.size(1)}, weight.options());
    for_groups(counts, [&](int64_t e, int64_t start, int64_t count) {
      auto matrix = dw[e];
      if (count == 0) {
        matrix.zero_();
        if (db.defined())
          db[e].zero_();
        return;
      }
      auto rows = g.narrow(0, start, count), target = dx.narrow(0, start, count);
      at::mm_out(target, rows, weight[e]);
      at::mm_out(matrix, rows.t(), x.narrow(0, start, count));
      if (db.defined()) {
        auto sum = db[e];
        at::sum_out(sum, rows, at::IntArrayRef{0});
      }
    });
    return {dx, dw, db, at::Tensor()};
  }
};

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_dispatch(ct_tensor *out, ct_tensor x, ct_tensor slot_tokens) {
  return guarded([&] {
    const auto &in = x->value, &slots = slot_tokens->value;
    TORCH_CHECK_VALUE(in.dim() == 2 && slots.scalar_type() == at::kLong, "tokens to send must be [N, D]");
    *out = box(has_row_kernels(in) ? Dispatch::apply(in.contiguous(), slots.contiguous())
                                   : in.index_select(0, slots.clamp_min(0)) * slots.ge(0).unsqueeze(1));
  });
}

ct_status ct_collect(ct_tensor *out, ct_tensor rows, ct_tensor gates, ct_tensor slot_tokens, int64_t tokens) {
  return guarded([&] {
    const auto &in = rows->value, &slots = slot_tokens->value;
    TORCH_CHECK_VALUE(in.dim() == 2 && gates->value.numel() == in.size(0) && slots.numel() == in.size(0),
                      "every row of an expert needs a gate and a token");
    auto g = gates->value.to(accumulator_type(in.scalar_type()));
    if (has_row_kernels(in)) {
      *out = box(Collect::apply(in.contiguous(), g.contiguous(), slots.contiguous(), tokens));
      return;
    }
    auto weighted = in.to(g.scalar_type()) * (g * slots.ge(0)).unsqueeze(1);
    auto sums = at::zeros({tokens, in.size(1)}, weighted.options()).index_add(0, slots.clamp_min(0), weighted);
    *out = box(sums.to(in.scalar_type()));
  });
}

ct_status ct_grouped_linear(ct_tensor *out, ct_tensor x, ct_tensor weight, ct_tensor bias, const int64_t *counts,
                            int32_t expert_count) {
  return guarded([&] {
    const auto &in = x->value, &w = weight->value;
    auto b = maybe(bias);
    TORCH_CHECK_VALUE(in.dim() == 2 && w.dim() == 3 && w.size(2) == in.size(1) && w.size(0) == expert_count,
                      "rows ", in.sizes(), " do not fit the experts' matrices ", w.sizes());
    std::vector<int64_t> sizes(counts, counts + expert_count);
    TORCH_CHECK_VALUE(std::accumulate(sizes.begin(), sizes.end(), int64_t(0)) == in.size(0) &&
                          std::all_of(sizes.begin(), sizes.end(), [](int64_t n) { return n >= 0; }),
                      "the experts' rows do not add up to ", in.size(0));
    *out = box(GroupedLinear::apply(in.contiguous(), w.contiguous(), given(b), sizes));
  });
}
