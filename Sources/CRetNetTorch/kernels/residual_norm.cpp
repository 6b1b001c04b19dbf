// A residual sum and the norm after it in one pass each way.
//
// The stream may be wider than what is computed with: float32 under bfloat16 layers, so that sums over many layers
// keep what a single one adds.
#include "operators.h"

namespace ctorch {
namespace {

// Calls body<T, S>() with the types of branches and stream.
template <class Body> void with_stream(at::ScalarType branch, at::ScalarType stream, Body &&body) {
  with_element(branch, [&]<class T>() {
    if constexpr (std::is_same_v<T, BF16>) {
      if (stream == at::kBFloat16)
        body.template operator()<BF16, BF16>();
      else
        body.template operator()<BF16, float>();
    } else {
      body.template operator()<T, T>();
    }
  });
}

bool has_stream_kernels(const at::Tensor &x, at::ScalarType branch) {
  return has_row_kernels(x) && (branch == x.scalar_type() || (branch == at::kBFloat16 && x.scalar_type() == at::kFloat));
}

struct ResidualNorm : torch::autograd::Function<ResidualNorm> {
  // Returns the norm and, with a branch, the sum.
  static variable_list forward(AutogradContext *ctx, const at::Tensor &x, const OptionalTensor &branch,
                               const at::Tensor &weight, double epsilon, int64_t type) {
    int64_t size = x.size(-1), rows = x.numel() / size;
    auto sum = branch ? at::empty_like(x) : x;
    auto out = at::empty(x.sizes(), x.options().dtype(static_cast<at::ScalarType>(type)));
    with_stream(out.scalar_type(), x.scalar_type(), [&]<class T, class S>() {
      using A = typename Accumulator<T>::type;
      const S *in = data<S>(x);
      const T *b = branch ? data<T>(*branch) : nullptr;
      S *s = branch ? mutable_data<S>(sum) : nullptr;
      const A *w = data<A>(weight);
      T *y = mutable_data<T>(out);
      parallel_for(rows, row_grain(size), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++)
          stream_rows<T, S>().residual_norm(in + r * size, b ? b + r * size : nullptr, w, A(epsilon),
                                            s ? s + r * size : nullptr, y + r * size, size);
      });
    });
    ctx->save_for_backward({sum, weight});
    ctx->saved_data["epsilon"] = epsilon;
    ctx->saved_data["branch"] = branch.has_value();
    ctx->saved_data["type"] = type;
    ctx->set_materialize_grads(false);
    if (branch)
      return {out, sum};
    return {out};
  }

  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &sum = saved[0], &weight = saved[1];
    bool has_branch = ctx->saved_data["branch"].toBool();
    auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    at::Tensor none;
    auto d_sum = has_branch && gradients[1].defined() ? gradients[1].contiguous() : none;
    if (!gradients[0].defined())
      return {d_sum, has_branch && d_sum.defined() ? d_sum.to(type) : none, none, none, none};
    auto d_out = gradients[0].contiguous();
    int64_t size = sum.size(-1), rows = sum.numel() / size;
    auto dx = at::empty_like(sum), d_branch = has_branch ? at::empty_like(d_out) : none;
    // Sums over rows are kept per block and added in order: the result does not depend on the threads.
    int64_t blocks = std::min<int64_t>(rows, 64);
    auto parts = at::zeros({blocks, size}, weight.options());
    with_stream(type, sum.scalar_type(), [&]<class T, class S>() {
      using A = typename Accumulator<T>::type;
      const S *s = data<S>(sum), *ds = data<S>(d_sum);
      const T *dy = data<T>(d_out);
      const A *w = data<A>(weight);
      A *dw = mutable_data<A>(parts);
      S *to = mutable_data<S>(dx);
      T *db = mutable_data<T>(d_branch);
      A epsilon = A(ctx->saved_data["epsilon"].toDouble());
      parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t block = begin; block < end; block++)
          for (int64_t r = rows * block / blocks; r < rows * (block + 1) / blocks; r++)
            stream_rows<T, S>().residual_norm_backward(s + r * size, w, epsilon, dy + r * size,
                                                       ds ? ds + r * size : nullptr, to + r * size,
                                                       db ? db + r * size : nullptr, dw + block * size, size);
      });
    });
    return {dx, d_branch, parts.sum(0), none, none};
  }
};

struct ResidualAdd : torch::autograd::Function<ResidualAdd> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &x, const at::Tensor &branch) {
    ctx->saved_data["type"] = static_cast<int64_t>(branch.scalar_type());
    auto sum = at::empty_like(x);
    with_stream(branch.scalar_type(), x.scalar_type(), [&]<class T, class S>() {
      const S *in = data<S>(x);
      const T *b = data<T>(branch);
      S *s = mutable_data<S>(sum);
      parallel_for(x.numel(), 16384, [&](int64_t begin, int64_t end) {
        stream_rows<T, S>().residual_add(in + begin, b + begin, s + begin, end - begin);
      });
    });
    return sum;
  }
  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto type = static_cast<at::ScalarType>(ctx->saved_data["type"].toInt());
    return {gradients[0], gradients[0].to(type)};
  }
};

at::Tensor norm_aten(const at::Tensor &x, const at::Tensor &weight, double epsilon, at::ScalarType type) {
  auto wide = x.to(accumulator_type(x.scalar_type()));
  return (wide * at::rsqrt(wide.square().mean(-1, true) + epsilon) * weight).to(type);
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_residual_norm(ct_tensor *out, ct_tensor *sum_out, ct_tensor input, ct_tensor branch, ct_tensor weight,
                           double epsilon, int32_t dtype) {
  return guarded([&] {
    const auto &x = input->value;
    auto b = maybe(branch);
    auto type = scalar_type(dtype);
    TORCH_CHECK_VALUE(x.dim() >= 1 && x.size(-1) > 0 && weight->value.numel() == x.size(-1),
                      "the norm's weight must have the size of the last axis of ", x.sizes());
    TORCH_CHECK_VALUE(!b.defined() || b.sizes() == x.sizes(), "the branch ", b.sizes(),
                      " must have the shape of the stream ", x.sizes());
    auto w = weight->value.to(accumulator_type(x.scalar_type())).contiguous();
    if (has_stream_kernels(x, type) && (!b.defined() || b.scalar_type() == type)) {
      auto results = ResidualNorm::apply(x.contiguous(), given(b.defined() ? b.contiguous() : b), w, epsilon,
                                         static_cast<int64_t>(type));
      *out = box(results[0]);
      *sum_out = b.defined() ? box(results[1]) : nullptr;
      return;
    }
    auto sum = b.defined() ? x + b.to(x.scalar_type()) : x;
    *out = box(norm_aten(sum, w, epsilon, type));
    *sum_out = b.defined() ? box(sum) : nullptr;
  });
}

ct_status ct_residual_add(ct_tensor *out, ct_tensor input, ct_tensor branch) {
  return guarded([&] {
    const auto &x = input->value, &b = branch->value;
    TORCH_CHECK_VALUE(b.sizes() == x.sizes(), "the branch ", b.sizes(), " must have the shape of the stream ",
                      x.sizes());
    if (has_stream_kernels(x, b.scalar_type()))
      *out = box(ResidualAdd::apply(x.contiguous(), b.contiguous()));
    else
      *out = box(x + b.to(x.scalar_type()));
  });
}
