// Optimizer steps over lists of tensors.
#include "../ops/table.h"

#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <cmath>

using namespace ctorch;

namespace {

// True if a kernel can walk over all of these at once: one type, and elements one after the other.
bool lie_alike(const variable_list &tensors, const at::Tensor &like) {
  return std::all_of(tensors.begin(), tensors.end(), [&](const at::Tensor &t) {
    return t.is_contiguous() && t.scalar_type() == like.scalar_type() && t.device() == like.device();
  });
}

} // namespace

ct_status ct_adamw(const ct_tensor *parameters, const ct_tensor *gradients, const ct_tensor *first,
                   const ct_tensor *second, int32_t count, int64_t step, double learning_rate, double beta1,
                   double beta2, double weight_decay, double epsilon, double gradient_scale) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto p = list(parameters, count), g = list(gradients, count);
    auto m = list(first, count), v = list(second, count);
    for (int32_t i = 0; i < count; i++)
      TORCH_CHECK_VALUE(g[i].sizes() == p[i].sizes() && m[i].sizes() == p[i].sizes() && v[i].sizes() == p[i].sizes(),
                        "gradient and moments must have the shape of the parameter ", p[i].sizes());
    auto kernels = count > 0 ? kernels_for(CT_OP_ADAMW, p[0]) : nullptr;
    for (auto &gradient : g)
      gradient = gradient.contiguous();
    if (kernels && lie_alike(p, p[0]) && lie_alike(g, p[0]) && lie_alike(m, p[0]) && lie_alike(v, p[0])) {
      double corrected1 = 1 - std::pow(beta1, static_cast<double>(step));
      double corrected2 = 1 - std::pow(beta2, static_cast<double>(step));
      kernels->adamw({p, g, m, v,
                      {gradient_scale, 1 - learning_rate * weight_decay, beta1, beta2, learning_rate / corrected1,
                       std::sqrt(corrected2), epsilon}});
      for (const auto &lists : {p, m, v})
        for (const auto &tensor : lists)
          tensor.unsafeGetTensorImpl()->bump_version();
      return;
    }
    if (gradient_scale != 1)
      g = at::_foreach_mul(g, gradient_scale);
    std::vector<at::Tensor> steps;
    for (const auto &tensor : p)
      steps.push_back(make::full({}, static_cast<double>(step), tensor.options().dtype(at::kFloat)));
    at::_fused_adamw_(p, g, m, v, /*max_exp_avg_sqs=*/{}, steps, learning_rate, beta1, beta2, weight_decay, epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  });
}

ct_status ct_adafactor(ct_tensor parameter, ct_tensor gradient, ct_tensor row, ct_tensor column, double beta,
                       double learning_rate, double clip_threshold, bool scale_by_parameter, double weight_decay,
                       double gradient_scale) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto &p = parameter->value;
    auto g = gradient_scale == 1 ? gradient->value : gradient->value * gradient_scale;
    auto r = maybe(row), c = maybe(column);
    TORCH_CHECK_VALUE(r.defined() && p.numel() > 0, "Adafactor needs a second moment and a parameter with elements");
    auto squares = g.square().add_(1e-30);
    at::Tensor update;
    if (c.defined()) {
      r.mul_(beta).add_(squares.mean(1), 1 - beta);
      c.mul_(beta).add_(squares.mean(0), 1 - beta);
      update = g * (r / r.mean()).rsqrt_().unsqueeze(1);
      update.mul_(c.rsqrt().unsqueeze(0));
    } else {
      r.mul_(beta).add_(squares, 1 - beta);
      update = g * r.rsqrt();
    }
    double root = std::sqrt(static_cast<double>(p.numel()));
    double rms = at::linalg_vector_norm(update).item().toDouble() / root;
    double rate = learning_rate;
    if (scale_by_parameter)
      rate *= std::max(1e-3, at::linalg_vector_norm(p).item().toDouble() / root);
    if (weight_decay != 0)
      p.mul_(1 - learning_rate * weight_decay);
    p.add_(update, -rate / std::max(1.0, rms / clip_threshold));
  });
}

namespace {

/// Replaces the singular values of matrices [N, R, C] by values near 1: a quintic Newton–Schulz iteration, with the
/// coefficients of K. Jordan's Muon, which trade exactness for speed.
at::Tensor orthogonalized(const at::Tensor &matrices, int64_t iterations) {
  constexpr double a = 3.4445, b = -4.7750, c = 2.0315;
  bool tall = matrices.size(1) > matrices.size(2);
  auto x = tall ? matrices.transpose(1, 2).contiguous() : matrices;
  x = x / at::linalg_vector_norm(x, 2, {1, 2}, /*keepdim=*/true).clamp_min_(1e-7);
  for (int64_t i = 0; i < iterations; ++i) {
    auto gram = x.bmm(x.transpose(1, 2));
    auto factor = gram.baddbmm(gram, gram, b, c);
    x = x.baddbmm(factor, x, a, 1);
  }
  return tall ? x.transpose(1, 2) : x;
}

} // namespace

ct_status ct_muon(const ct_tensor *parameters, const ct_tensor *gradients, const ct_tensor *momenta, int32_t count,
                  double momentum_decay, bool nesterov, int64_t iterations, double learning_rate, double scale,
                  double weight_decay, double gradient_scale) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto parameter = list(parameters, count), gradient = list(gradients, count), momentum = list(momenta, count);
    variable_list directions;
    for (int32_t i = 0; i < count; i++) {
      const auto &p = parameter[i], &m = momentum[i];
      TORCH_CHECK_VALUE(p.dim() >= 2 && p.sizes() == parameter[0].sizes(), "Muon needs matrices of one shape");
      auto g = gradient_scale == 1 ? gradient[i] : gradient[i] * gradient_scale;
      m.lerp_(g, 1 - momentum_decay);
      directions.push_back((nesterov ? g.lerp(m, momentum_decay) : m).reshape({-1, p.size(-2), p.size(-1)}));
    }
    if (count < 1)
      return;
    auto updates = orthogonalized(count == 1 ? directions[0] : make::joined(directions, 0), iterations);
    int64_t matrices = directions[0].size(0);
    for (int32_t i = 0; i < count; i++) {
      const auto &p = parameter[i];
      if (weight_decay != 0)
        p.mul_(1 - learning_rate * weight_decay);
      p.add_(updates.narrow(0, i * matrices, matrices).reshape(p.sizes()), -learning_rate * scale);
    }
  });
}

ct_status ct_global_norm(double *out, const ct_tensor *tensors, int32_t count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(list(tensors, count), 2);
    // One number from a device, not one of every tensor: each waits until the device is done.
    if (!norms.empty() && norms[0].is_cuda()) {
      *out = at::linalg_vector_norm(make::stacked(norms, 0).to(at::kDouble)).item().toDouble();
      return;
    }
    double sum = 0;
    for (const auto &norm : norms) {
      double value = norm.item().toDouble();
      sum += value * value;
    }
    *out = std::sqrt(sum);
  });
}

ct_status ct_scale_all(const ct_tensor *tensors, int32_t count, double factor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto values = list(tensors, count);
    at::_foreach_mul_(values, factor);
  });
}
