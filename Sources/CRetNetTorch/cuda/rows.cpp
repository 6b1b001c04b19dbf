// Operators on rows on CUDA devices: rotation of heads, head norm with gate, norms of a residual stream,
// activations with a gate, the loss of tokens.
#include "operators.h"

namespace ctorch::cuda {
namespace {

// Strides of batch, time and heads.
void set_strides(int64_t (&strides)[3], const at::Tensor &x, bool heads_first) {
  strides[0] = x.stride(0), strides[1] = x.stride(heads_first ? 2 : 1), strides[2] = x.stride(heads_first ? 1 : 2);
}

// [B, T, H, A] -> [B, H, T, A], or back; sign -1 turns the other way. Undefined where there is no kernel.
at::Tensor rotated(const at::Tensor &given, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                   double scale, double sign, bool to_heads) {
  auto x = unit_rows(given);
  int64_t batch = x.size(0), time = x.size(to_heads ? 1 : 2), heads = x.size(to_heads ? 2 : 1), size = x.size(3);
  if (!are_countable(batch, time, heads, size))
    return {};
  Place place(x);
  auto out = make::empty(to_heads ? at::IntArrayRef{batch, heads, time, size} : at::IntArrayRef{batch, time, heads, size},
                         x.options());
  device::RotateHeadsArguments a{};
  a.x = x.const_data_ptr(), a.out = out.mutable_data_ptr();
  set_strides(a.in_strides, x, !to_heads);
  set_strides(a.out_strides, out, to_heads);
  a.cosine = numbers(cosine), a.sine = numbers(sine);
  a.angle_batch = cosine.defined() && cosine.size(0) > 1 ? time * (size / 2) : 0;
  a.scale = static_cast<float>(scale), a.sign = static_cast<float>(sign), a.interleaved = interleaved;
  a.batch = static_cast<int32_t>(batch), a.time = static_cast<int32_t>(time);
  a.heads = static_cast<int32_t>(heads), a.size = static_cast<int32_t>(size);
  device::Kernel kernel;
  if (!device::rotate_heads_kernel(a, element_of(x.scalar_type()), place.limits(), kernel))
    return {};
  place.run(kernel, a);
  return out;
}

// Arguments of both passes of the head norm; contents of tensors that are left out are null.
device::HeadNormArguments norm_arguments(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons,
                                         const at::Tensor &weight, const at::Tensor &bias, ct_norm_kind kind,
                                         ct_activation activation) {
  device::HeadNormArguments a{};
  a.x = x.const_data_ptr(), a.gate = gate.defined() ? gate.const_data_ptr() : nullptr;
  a.epsilons = numbers(epsilons), a.weight = numbers(weight), a.bias = numbers(bias);
  a.epsilon_count = epsilons.numel(), a.kind = kind, a.activation = activation;
  a.batch = static_cast<int32_t>(x.size(0)), a.heads = static_cast<int32_t>(x.size(1));
  a.time = static_cast<int32_t>(x.size(2)), a.size = static_cast<int32_t>(x.size(3));
  return a;
}

} // namespace

at::Tensor rotate_heads(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                        double scale) {
  if (!needs_gradients(x))
    return rotated(x, cosine, sine, interleaved, scale, 1, true);
  // The same rule decides on the way back, where the sizes are the same.
  bool fits = true;
  auto forward = [&]() -> Pass {
    auto out = rotated(x, cosine, sine, interleaved, scale, 1, true);
    fits = out.defined();
    return {{fits ? out : make::empty({0}, x.options())}, {cosine, sine}};
  };
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    return {rotated(gradients[0], saved[0], saved[1], interleaved, scale, -1, false), {}, {}};
  };
  auto out = record({x, cosine, sine}, forward, backward)[0];
  return fits ? out : at::Tensor();
}

at::Tensor head_norm(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons, const at::Tensor &weight,
                     const at::Tensor &bias, ct_norm_kind kind, ct_activation activation) {
  if (!are_countable(x.size(0), x.size(1), x.size(2), x.size(3)) || x.numel() == 0)
    return {};
  auto type = element_of(x.scalar_type());
  {
    auto a = norm_arguments(x, gate, epsilons, weight, bias, kind, activation);
    a.parts = 1;
    Place place(x);
    device::Kernel kernel;
    if (!device::head_norm_kernel(a, type, place.limits(), kernel) ||
        (needs_gradients(x, gate, weight, bias) &&
         !device::head_norm_gradient_kernel(a, type, place.limits(), kernel)))
      return {};
  }
  auto forward = [&]() -> Pass {
    auto out = make::empty({x.size(0), x.size(2), x.size(1) * x.size(3)}, x.options());
    auto a = norm_arguments(x, gate, epsilons, weight, bias, kind, activation);
    a.out = out.mutable_data_ptr();
    Place place(x);
    device::Kernel kernel;
    device::head_norm_kernel(a, type, place.limits(), kernel);
    place.run(kernel, a);
    return {{out}, {x, gate, epsilons, weight, bias}};
  };
  if (!needs_gradients(x, gate, weight, bias))
    return forward().outputs[0];
  auto backward = [kind, activation, type](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &x = saved[0], &gate = saved[1], &weight = saved[3], &bias = saved[4];
    auto gradient = gradients[0].contiguous();
    auto dx = make::empty_like(x), d_gate = gate.defined() ? make::empty_like(gate) : at::Tensor();
    auto a = norm_arguments(x, gate, saved[2], weight, bias, kind, activation);
    Place place(x);
    a.parts = device::head_norm_parts(a, place.limits());
    auto partial = [&](const at::Tensor &parameter) {
      return parameter.defined() ? make::empty({a.parts, parameter.numel()}, parameter.options()) : at::Tensor();
    };
    auto d_weight = partial(weight), d_bias = partial(bias);
    a.d_out = gradient.const_data_ptr(), a.dx = dx.mutable_data_ptr();
    a.d_gate = d_gate.defined() ? d_gate.mutable_data_ptr() : nullptr;
    a.d_weight = places(d_weight), a.d_bias = places(d_bias);
    device::Kernel kernel;
    TORCH_CHECK(device::head_norm_gradient_kernel(a, type, place.limits(), kernel),
                "there is no kernel for the gradients of norms of ", x.size(3));
    place.run(kernel, a);
    auto total = [](const at::Tensor &parts, const at::Tensor &like) {
      return parts.defined() ? parts.sum(0).reshape(like.sizes()) : at::Tensor();
    };
    return {dx, d_gate, {}, total(d_weight, weight), total(d_bias, bias)};
  };
  return record({x, gate, epsilons, weight, bias}, forward, backward)[0];
}

// The norm of x + branch, and that sum, of the stream's type; branch, out and their gradients are of type `type`.
variable_list residual_norm(const at::Tensor &x, const at::Tensor &branch, const at::Tensor &weight, const at::Tensor &bias,
                            double epsilon, at::ScalarType type) {
  int64_t size = x.size(-1);
  bool has_branch = branch.defined();
  auto element = element_of(type), stream = element_of(x.scalar_type());
  device::ResidualNormArguments sizes{};
  sizes.rows = x.numel() / size, sizes.epsilon = static_cast<float>(epsilon);
  sizes.parts = 1;
  // With a bias it is a layer norm, which has none.
  if (bias.defined() || !are_countable(size) || x.numel() == 0)
    return {};
  sizes.size = static_cast<int32_t>(size);
  {
    Place place(x);
    device::Kernel kernel;
    if (!device::residual_norm_kernel(sizes, element, stream, place.limits(), kernel) ||
        !device::residual_norm_gradient_kernel(sizes, element, stream, place.limits(), kernel))
      return {};
  }
  auto forward = [&]() -> Pass {
    auto out = make::empty(x.sizes(), x.options().dtype(type)), sum = has_branch ? make::empty_like(x) : x;
    auto a = sizes;
    a.x = x.const_data_ptr(), a.branch = has_branch ? branch.const_data_ptr() : nullptr;
    a.weight = numbers(weight), a.out = out.mutable_data_ptr();
    a.sum = has_branch ? sum.mutable_data_ptr() : nullptr;
    Place place(x);
    device::Kernel kernel;
    device::residual_norm_kernel(a, element, stream, place.limits(), kernel);
    place.run(kernel, a);
    return {has_branch ? variable_list{out, sum} : variable_list{out}, {sum, weight}};
  };
  if (!needs_gradients(x, branch, weight))
    return forward().outputs;
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &sum = saved[0], &weight = saved[1];
    at::Tensor none;
    auto d_sum = has_branch && gradients[1].defined() ? gradients[1].contiguous() : none;
    if (!gradients[0].defined())
      return {d_sum, has_branch && d_sum.defined() ? d_sum.to(type) : none, none};
    auto d_out = gradients[0].contiguous();
    auto dx = make::empty_like(sum), d_branch = has_branch ? make::empty_like(d_out) : none;
    auto a = sizes;
    Place place(sum);
    a.parts = device::residual_norm_parts(a, place.limits());
    auto parts = make::empty({a.parts, sum.size(-1)}, weight.options());
    a.branch = has_branch ? d_branch.const_data_ptr() : nullptr;
    a.sum = const_cast<void *>(sum.const_data_ptr()), a.weight = numbers(weight);
    a.d_out = d_out.const_data_ptr(), a.d_sum = d_sum.defined() ? d_sum.const_data_ptr() : nullptr;
    a.dx = dx.mutable_data_ptr(), a.d_branch = has_branch ? d_branch.mutable_data_ptr() : nullptr;
    a.d_weight = places(parts);
    device::Kernel kernel;
    device::residual_norm_gradient_kernel(a, element, stream, place.limits(), kernel);
    place.run(kernel, a);
    return {dx, d_branch, parts.sum(0)};
  };
  return record({x, branch, weight}, forward, backward, MissingGradients::undefined);
}

at::Tensor gated_activation(const at::Tensor &a, const at::Tensor &b, ct_activation activation) {
  if (a.numel() == 0)
    return {};
  auto element = element_of(a.scalar_type());
  auto arguments = [activation](const at::Tensor &a, const at::Tensor &b) {
    device::GatedActivationArguments g{};
    g.a = a.const_data_ptr(), g.b = b.defined() ? b.const_data_ptr() : nullptr;
    g.count = a.numel(), g.activation = activation;
    return g;
  };
  auto forward = [&]() -> Pass {
    auto out = make::empty_like(a);
    auto g = arguments(a, b);
    g.out = out.mutable_data_ptr();
    Place place(a);
    device::Kernel kernel;
    TORCH_CHECK(device::gated_activation_kernel(g, element, place.limits(), kernel), "there is no kernel for ", a.numel(),
                " elements");
    place.run(kernel, g);
    return {{out}, {a, b}};
  };
  if (!needs_gradients(a, b))
    return forward().outputs[0];
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &a = saved[0], &b = saved[1];
    auto gradient = gradients[0].contiguous();
    auto da = make::empty_like(a), db = b.defined() ? make::empty_like(b) : at::Tensor();
    auto g = arguments(a, b);
    g.d_out = gradient.const_data_ptr(), g.da = da.mutable_data_ptr();
    g.db = db.defined() ? db.mutable_data_ptr() : nullptr;
    Place place(a);
    device::Kernel kernel;
    TORCH_CHECK(device::gated_activation_gradient_kernel(g, element, place.limits(), kernel), "there is no kernel for ",
                a.numel(), " elements");
    place.run(kernel, g);
    return {da, db};
  };
  return record({a, b}, forward, backward)[0];
}

variable_list token_loss(const at::Tensor &logits, const at::Tensor &targets) {
  int64_t rows = logits.size(0), size = logits.size(1);
  if (!are_countable(rows, size) || logits.numel() == 0)
    return {};
  auto type = element_of(logits.scalar_type());
  auto arguments = [](const at::Tensor &logits, const at::Tensor &targets) {
    device::TokenLossArguments a{};
    a.logits = logits.const_data_ptr(), a.targets = targets.const_data_ptr<int64_t>();
    a.stride = logits.stride(0), a.rows = static_cast<int32_t>(logits.size(0));
    a.size = static_cast<int32_t>(logits.size(1));
    return a;
  };
  auto forward = [&]() -> Pass {
    auto losses = make::empty({rows}, logits.options().dtype(at::kFloat)), log_sums = make::empty_like(losses);
    auto a = arguments(logits, targets);
    a.losses = places(losses), a.log_sums = places(log_sums);
    Place place(logits);
    device::Kernel kernel;
    TORCH_CHECK(device::token_loss_kernel(a, type, place.limits(), kernel), "there is no kernel for logits ", logits.sizes());
    place.run(kernel, a);
    return {{losses, log_sums}, {logits, targets, log_sums}};
  };
  if (!needs_gradients(logits))
    return forward().outputs;
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &logits = saved[0];
    if (!gradients[0].defined() && !gradients[1].defined())
      return {};
    auto wide = [](const at::Tensor &d) { return d.defined() ? d.to(at::kFloat).contiguous() : d; };
    auto d_losses = wide(gradients[0]), d_log_sums = wide(gradients[1]), out = make::empty_like(logits);
    auto a = arguments(logits, saved[1]);
    auto log_sums = saved[2];
    a.log_sums = places(log_sums);
    a.d_losses = numbers(d_losses), a.d_log_sums = numbers(d_log_sums);
    a.d_logits = out.mutable_data_ptr(), a.d_stride = out.stride(0);
    Place place(logits);
    device::Kernel kernel;
    TORCH_CHECK(device::token_loss_gradient_kernel(a, type, place.limits(), kernel), "there is no kernel for logits ",
                logits.sizes());
    place.run(kernel, a);
    return {out, {}};
  };
  return record({logits, targets}, forward, backward, MissingGradients::undefined);
}

} // namespace ctorch::cuda
