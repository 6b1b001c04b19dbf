// act(a) * b, the middle of a gated feed-forward (or act(a) alone), in one pass each way.
#include "operators.h"

namespace ctorch {

at::Tensor activation_aten(const at::Tensor &x, int32_t activation) {
  switch (activation) {
  case kNone: return x;
  case kSwish: return at::silu(x);
  case kGelu: return at::gelu(x, "none");
  case kRelu: return at::relu(x);
  case kGeluTanh: return at::gelu(x, "tanh");
  }
  TORCH_CHECK_VALUE(false, "unknown activation ", activation);
}

namespace {

constexpr int64_t kBlock = 4096;

struct GatedActivation : torch::autograd::Function<GatedActivation> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &a, const OptionalTensor &gate,
                            int64_t activation) {
    auto b = gate.value_or(at::Tensor());
    ctx->save_for_backward({a, b});
    ctx->saved_data["activation"] = activation;
    auto out = at::empty_like(a);
    with_element(a.scalar_type(), [&]<class T>() {
      const T *x = data<T>(a), *y = data<T>(b);
      T *z = mutable_data<T>(out);
      parallel_for(a.numel(), kBlock, [&](int64_t begin, int64_t end) {
        row_kernels<T>().gated_forward(x + begin, y ? y + begin : nullptr, activation, z + begin, end - begin);
      });
    });
    return out;
  }
  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &a = saved[0], &b = saved[1];
    auto gradient = gradients[0].contiguous();
    int32_t activation = static_cast<int32_t>(ctx->saved_data["activation"].toInt());
    auto a_gradient = at::empty_like(a), b_gradient = b.defined() ? at::empty_like(b) : at::Tensor();
    with_element(a.scalar_type(), [&]<class T>() {
      const T *x = data<T>(a), *y = data<T>(b), *d = data<T>(gradient);
      T *dx = mutable_data<T>(a_gradient), *dy = mutable_data<T>(b_gradient);
      parallel_for(a.numel(), kBlock, [&](int64_t begin, int64_t end) {
        row_kernels<T>().gated_backward(x + begin, y ? y + begin : nullptr, activation, d + begin, dx + begin,
                                        dy ? dy + begin : nullptr, end - begin);
      });
    });
    return {a_gradient, b_gradient, at::Tensor()};
  }
};

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_gated_activation(ct_tensor *out, ct_tensor left, ct_tensor right, int32_t activation) {
  return guarded([&] {
    const auto &a = left->value;
    auto b = maybe(right);
    TORCH_CHECK_VALUE(activation >= kNone && activation <= kGeluTanh, "unknown activation ", activation);
    TORCH_CHECK_VALUE(!b.defined() || (b.sizes() == a.sizes() && b.scalar_type() == a.scalar_type()),
                      "the gate ", b.sizes(), " must have the shape and type of the branch ", a.sizes());
    if (has_row_kernels(a)) {
      *out = box(GatedActivation::apply(a.contiguous(), given(b.defined() ? b.contiguous() : b), activation));
    } else {
      auto y = activation_aten(a, activation);
      *out = box(b.defined() ? y * b : y);
    }
  });
}
