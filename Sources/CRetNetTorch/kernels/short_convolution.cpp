// Depthwise causal convolution over time with a few taps.
//
//   out[t, c] = bias[c] + sum_j w[c, j] x[t - (W - 1) + j, c],      x before the first position from the ring
//
// Sums run in float32 (float64 for float64 inputs); one pass over memory for a tap.
#include "operators.h"

namespace ctorch {
namespace {

// The ring [B, W - 1, C] and x [B, T, C] one after the other, in the accumulator type.
at::Tensor extended(const at::Tensor &x, const OptionalTensor &ring, int64_t width) {
  auto type = accumulator_type(x.scalar_type());
  auto past = ring ? ring->to(type) : at::zeros({x.size(0), width - 1, x.size(2)}, x.options().dtype(type));
  return at::cat({past, x.to(type)}, 1);
}

struct ShortConvolution : torch::autograd::Function<ShortConvolution> {
  static variable_list forward(AutogradContext *context, const at::Tensor &x, const at::Tensor &weight,
                               const OptionalTensor &bias, const OptionalTensor &ring) {
    int64_t width = weight.size(1), time = x.size(1);
    auto padded = extended(x, ring, width);
    auto taps = weight.to(padded.scalar_type());
    auto out = at::zeros({x.size(0), time, x.size(2)}, padded.options());
    if (bias)
      out.add_(bias->to(padded.scalar_type()));
    for (int64_t j = 0; j < width; j++)
      out.addcmul_(padded.narrow(1, j, time), taps.select(1, j));
    context->save_for_backward({x, weight, ring ? *ring : at::Tensor()});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["ring"] = ring.has_value();
    return {out.to(x.scalar_type()), padded.narrow(1, time, width - 1).contiguous()};
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &ring = saved[2];
    int64_t width = weight.size(1), time = x.size(1);
    auto padded = extended(x, given(ring), width);
    auto taps = weight.to(padded.scalar_type());
    auto padded_gradient = at::zeros_like(padded);
    auto taps_gradient = at::empty({width, x.size(2)}, padded.options());
    at::Tensor bias_gradient;
    if (gradients[0].defined()) {
      auto g = gradients[0].to(padded.scalar_type());
      for (int64_t j = 0; j < width; j++) {
        padded_gradient.narrow(1, j, time).addcmul_(g, taps.select(1, j));
        auto row = taps_gradient.select(0, j);
        at::sum_out(row, g * padded.narrow(1, j, time), at::IntArrayRef{0, 1});
      }
      if (context->saved_data["bias"].toBool())
        bias_gradient = at::sum(g, at::IntArrayRef{0, 1}).to(weight.scalar_type());
    } else {
      taps_gradient.zero_();
    }
    if (gradients[1].defined())
      padded_gradient.narrow(1, time, width - 1).add_(gradients[1].to(padded.scalar_type()));
    at::Tensor ring_gradient;
    if (context->saved_data["ring"].toBool())
      ring_gradient = padded_gradient.narrow(1, 0, width - 1).to(ring.scalar_type());
    return {padded_gradient.narrow(1, width - 1, time).to(x.scalar_type()),
            taps_gradient.t().to(weight.scalar_type()), bias_gradient, ring_gradient};
  }
};

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_short_convolution(ct_tensor *out, ct_tensor *ring_out, ct_tensor x, ct_tensor weight, ct_tensor bias,
                               ct_tensor ring) {
  return guarded([&] {
    const auto &input = x->value, &taps = weight->value;
    auto b = maybe(bias), r = maybe(ring);
    TORCH_CHECK_VALUE(input.dim() == 3 && taps.dim() == 2 && taps.size(0) == input.size(2) && taps.size(1) >= 1,
                      "a short convolution needs x [B, T, C] and weight [C, W], found ", input.sizes(), " and ",
                      taps.sizes());
    TORCH_CHECK_VALUE(!b.defined() || b.numel() == taps.size(0), "the bias must have ", taps.size(0), " elements");
    TORCH_CHECK_VALUE(!r.defined() || (r.dim() == 3 && r.size(0) == input.size(0) && r.size(1) == taps.size(1) - 1 &&
                                       r.size(2) == taps.size(0)),
                      "the ring ", r.sizes(), " does not fit x ", input.sizes(), " and weight ", taps.sizes());
    auto results = ShortConvolution::apply(input, taps, given(b), given(r));
    *out = box(results[0]);
    *ring_out = box(results[1]);
  });
}
