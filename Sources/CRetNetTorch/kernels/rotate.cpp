// Rotary position embedding of heads, the move from [B, T, H, A] to [B, H, T, A] and a scale, in one pass.
#include "operators.h"

namespace ctorch {
namespace {

// to_heads: [B, T, H, A] -> [B, H, T, A]; otherwise back. sign -1 turns the other way.
at::Tensor rotate_rows(const at::Tensor &input, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                       double scale, double sign, bool to_heads) {
  int64_t batch = input.size(0), size = input.size(3);
  int64_t time = input.size(to_heads ? 1 : 2), heads = input.size(to_heads ? 2 : 1);
  auto x = input.stride(3) == 1 ? input : input.contiguous();
  auto out = at::empty(to_heads ? at::IntArrayRef{batch, heads, time, size}
                                : at::IntArrayRef{batch, time, heads, size},
                       input.options());
  int64_t stride_b = x.stride(0), stride_t = x.stride(to_heads ? 1 : 2), stride_h = x.stride(to_heads ? 2 : 1);
  int64_t angle_rows = cosine.defined() && cosine.size(0) > 1 ? time : 0;
  with_element(input.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const auto &kernels = row_kernels<T>();
    const T *from = data<T>(x);
    const A *c = data<A>(cosine), *s = data<A>(sine);
    T *to = mutable_data<T>(out);
    parallel_for(batch * time, row_grain(heads * size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t b = i / time, t = i % time, angle = (b * angle_rows + t) * (size / 2);
        for (int64_t h = 0; h < heads; h++) {
          T *target = to + (to_heads ? ((b * heads + h) * time + t) : ((b * time + t) * heads + h)) * size;
          kernels.rotate(from + b * stride_b + t * stride_t + h * stride_h, c ? c + angle : nullptr,
                         s ? s + angle : nullptr, A(sign), A(scale), interleaved, target, size);
        }
      }
    });
  });
  return out;
}

struct RotateHeads : torch::autograd::Function<RotateHeads> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &x, const OptionalTensor &cosines,
                            const OptionalTensor &sines, bool interleaved, double scale) {
    auto cosine = cosines.value_or(at::Tensor()), sine = sines.value_or(at::Tensor());
    ctx->save_for_backward({cosine, sine});
    ctx->saved_data["interleaved"] = interleaved;
    ctx->saved_data["scale"] = scale;
    return rotate_rows(x, cosine, sine, interleaved, scale, 1, true);
  }
  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    auto gradient = rotate_rows(gradients[0], saved[0], saved[1], ctx->saved_data["interleaved"].toBool(),
                                ctx->saved_data["scale"].toDouble(), -1, false);
    return {gradient, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor rotate_aten(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                       double scale) {
  auto heads = x.permute({0, 2, 1, 3});
  if (!cosine.defined())
    return (heads * scale).contiguous();
  auto wide = heads.to(cosine.scalar_type());
  auto c = cosine.unsqueeze(1), s = sine.unsqueeze(1); // [B or 1, 1, T, A/2]
  int64_t half = x.size(3) / 2;
  at::Tensor a, b;
  if (interleaved) {
    auto pairs = wide.reshape({wide.size(0), wide.size(1), wide.size(2), half, 2});
    a = pairs.select(-1, 0), b = pairs.select(-1, 1);
  } else {
    a = wide.narrow(-1, 0, half), b = wide.narrow(-1, half, half);
  }
  auto first = a * c - b * s, second = b * c + a * s;
  auto rotated = interleaved ? at::stack({first, second}, -1).reshape(wide.sizes()) : at::cat({first, second}, -1);
  return (rotated * scale).to(x.scalar_type());
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_rotate_heads(ct_tensor *out, ct_tensor input, ct_tensor cosine, ct_tensor sine, bool interleaved,
                          double scale) {
  return guarded([&] {
    const auto &x = input->value;
    auto c = maybe(cosine), s = maybe(sine);
    TORCH_CHECK_VALUE(x.dim() == 4, "heads must be [B, T, H, A], found rank ", x.dim());
    if (c.defined()) {
      TORCH_CHECK_VALUE(x.size(3) % 2 == 0, "the key size must be even to be rotated, found ", x.size(3));
      TORCH_CHECK_VALUE(c.dim() == 3 && c.sizes() == s.sizes() && c.size(1) == x.size(1) &&
                            c.size(2) == x.size(3) / 2 && (c.size(0) == 1 || c.size(0) == x.size(0)),
                        "cosines ", c.sizes(), " do not fit heads ", x.sizes());
      c = c.to(accumulator_type(x.scalar_type())).contiguous();
      s = s.to(accumulator_type(x.scalar_type())).contiguous();
    }
    *out = box(has_row_kernels(x) ? RotateHeads::apply(x, given(c), given(s), interleaved, scale)
                                  : rotate_aten(x, c, s, interleaved, scale));
  });
}
