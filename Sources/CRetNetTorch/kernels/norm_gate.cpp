// Norms over rows, with the retention layer's gate folded in: one pass forward, one backward.
//
// The head norm takes its epsilon per row: that is how the score factors of retention are applied without
// rescaling anything (RMSNorm(o / s; eps) = o / sqrt(mean(o^2) + eps s^2)).
#include "operators.h"

namespace ctorch {
namespace {

// Rows of x lie as [B, H, T]; the matching rows of the gate and of the output as [B, T, H].
struct Rows {
  int64_t batch, heads, time, size;
  int64_t count() const { return batch * heads * time; }
  int64_t transposed(int64_t row) const {
    int64_t t = row % time, h = row / time % heads, b = row / (time * heads);
    return (b * time + t) * heads + h;
  }
  int64_t head(int64_t row) const { return row / time % heads; }
};

struct NormGate : torch::autograd::Function<NormGate> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &x, const OptionalTensor &gates,
                            const at::Tensor &epsilons, const OptionalTensor &weights,
                            const OptionalTensor &biases, int64_t kind, int64_t activation) {
    auto gate = gates.value_or(at::Tensor()), weight = weights.value_or(at::Tensor());
    auto bias = biases.value_or(at::Tensor());
    ctx->save_for_backward({x, gate, epsilons, weight, bias});
    ctx->saved_data["kind"] = kind;
    ctx->saved_data["activation"] = activation;
    Rows rows{x.size(0), x.size(1), x.size(2), x.size(3)};
    auto out = at::empty({rows.batch, rows.time, rows.heads * rows.size}, x.options());
    int64_t epsilon_count = epsilons.numel();
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *in = data<T>(x), *g = data<T>(gate);
      const A *w = data<A>(weight), *c = data<A>(bias), *e = data<A>(epsilons);
      T *to = mutable_data<T>(out);
      parallel_for(rows.count(), row_grain(rows.size), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) {
          int64_t other = rows.transposed(row) * rows.size, head = rows.head(row) * rows.size;
          row_kernels<T>().norm_forward(in + row * rows.size, g ? g + other : nullptr, w ? w + head : nullptr,
                                        c ? c + head : nullptr, e[row % epsilon_count], kind, activation,
                                        to + other, rows.size);
        }
      });
    });
    return out;
  }

  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &gate = saved[1], &epsilons = saved[2], &weight = saved[3], &bias = saved[4];
    int32_t kind = static_cast<int32_t>(ctx->saved_data["kind"].toInt());
    int32_t activation = static_cast<int32_t>(ctx->saved_data["activation"].toInt());
    Rows rows{x.size(0), x.size(1), x.size(2), x.size(3)};
    auto gradient = gradients[0].contiguous();
    auto x_gradient = at::empty_like(x), gate_gradient = gate.defined() ? at::empty_like(gate) : at::Tensor();
    // Sums over rows are kept per block and added in order: the result does not depend on the threads.
    int64_t blocks = std::min<int64_t>(rows.count(), 64), width = rows.heads * rows.size;
    auto partial = [&](const at::Tensor &parameter) {
      return parameter.defined() ? at::zeros({blocks, width}, parameter.options()) : at::Tensor();
    };
    auto weight_parts = partial(weight), bias_parts = partial(bias);
    int64_t epsilon_count = epsilons.numel();
    with_element(x.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *in = data<T>(x), *g = data<T>(gate), *d = data<T>(gradient);
      const A *w = data<A>(weight), *c = data<A>(bias), *e = data<A>(epsilons);
      T *dx = mutable_data<T>(x_gradient), *dg = mutable_data<T>(gate_gradient);
      A *dw = mutable_data<A>(weight_parts), *dc = mutable_data<A>(bias_parts);
      parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(rows.size);
        for (int64_t block = begin; block < end; block++) {
          int64_t last = rows.count() * (block + 1) / blocks;
          for (int64_t row = rows.count() * block / blocks; row < last; row++) {
            int64_t other = rows.transposed(row) * rows.size, head = rows.head(row) * rows.size;
            row_kernels<T>().norm_backward(
                in + row * rows.size, g ? g + other : nullptr, w ? w + head : nullptr, c ? c + head : nullptr,
                e[row % epsilon_count], kind, activation, d + other, dx + row * rows.size,
                dg ? dg + other : nullptr, dw ? dw + block * width + head : nullptr,
                dc ? dc + block * width + head : nullptr, scratch.data(), rows.size);
          }
        }
      });
    });
    auto total = [](const at::Tensor &parts) { return parts.defined() ? parts.sum(0) : at::Tensor(); };
    return {x_gradient, gate_gradient, at::Tensor(), total(weight_parts), total(bias_parts), at::Tensor(),
            at::Tensor()};
  }
};

at::Tensor norm_gate_aten(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons,
                          const at::Tensor &weight, const at::Tensor &bias, int32_t kind, int32_t activation) {
  auto wide = x.to(accumulator_type(x.scalar_type()));
  if (kind == kLayer)
    wide = wide - wide.mean(-1, true);
  auto squares = wide.square().mean(-1, true);
  auto epsilon = epsilons.numel() == 1 ? epsilons.reshape({1, 1, 1, 1}) : epsilons.unsqueeze(-1);
  auto y = (wide * at::rsqrt(squares + epsilon)).permute({0, 2, 1, 3}); // [B, T, H, V]
  auto per_head = [&](const at::Tensor &p) { return p.reshape({1, 1, x.size(1), x.size(3)}); };
  if (weight.defined())
    y = y * per_head(weight);
  if (bias.defined())
    y = y + per_head(bias);
  y = y.reshape({x.size(0), x.size(2), x.size(1) * x.size(3)}).to(x.scalar_type());
  return gate.defined() ? y * activation_aten(gate, activation) : y;
}

at::Tensor norm_gate(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons,
                     const at::Tensor &weight, const at::Tensor &bias, int32_t kind, int32_t activation) {
  auto type = accumulator_type(x.scalar_type());
  auto wide = [&](const at::Tensor &t) { return t.defined() ? t.to(type).contiguous() : t; };
  auto e = wide(epsilons), w = wide(weight), b = wide(bias);
  if (has_row_kernels(x))
    return NormGate::apply(x.contiguous(), given(gate.defined() ? gate.contiguous() : gate), e, given(w), given(b),
                           kind, activation);
  return norm_gate_aten(x, gate, e, w, b, kind, activation);
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_head_norm_gate(ct_tensor *out, ct_tensor input, ct_tensor gate, ct_tensor epsilons, ct_tensor weight,
                            ct_tensor bias, int32_t kind, int32_t activation) {
  return guarded([&] {
    const auto &x = input->value, &e = epsilons->value;
    auto g = maybe(gate), w = maybe(weight), b = maybe(bias);
    TORCH_CHECK_VALUE(x.dim() == 4, "the head norm needs [B, H, T, V], found rank ", x.dim());
    int64_t width = x.size(1) * x.size(3), rows = x.size(1) * x.size(2);
    TORCH_CHECK_VALUE(e.numel() == 1 || e.numel() == rows || e.numel() == rows * x.size(0), "epsilons ",
                      e.sizes(), " do not fit rows ", x.sizes());
    TORCH_CHECK_VALUE(!g.defined() || (g.numel() == x.numel() && g.scalar_type() == x.scalar_type()),
                      "the gate ", g.sizes(), " must have the elements and type of ", x.sizes());
    TORCH_CHECK_VALUE((!w.defined() || w.numel() == width) && (!b.defined() || b.numel() == width),
                      "weight and bias of the head norm must have ", width, " elements");
    TORCH_CHECK_VALUE(kind == kRMS || kind == kLayer, "unknown norm kind ", kind);
    *out = box(norm_gate(x, g, e, w, b, kind, activation));
  });
}

ct_status ct_rms_norm(ct_tensor *out, ct_tensor input, ct_tensor weight, double epsilon) {
  return guarded([&] {
    const auto &x = input->value;
    auto w = maybe(weight);
    TORCH_CHECK_VALUE(x.dim() >= 1 && (!w.defined() || w.numel() == x.size(-1)),
                      "the norm's weight must have the size of the last axis of ", x.sizes());
    auto rows = x.reshape({1, 1, -1, x.size(-1)});
    auto e = at::full({1}, epsilon, x.options().dtype(accumulator_type(x.scalar_type())));
    *out = box(norm_gate(rows, at::Tensor(), e, w, at::Tensor(), kRMS, kNone).reshape(x.sizes()));
  });
}
