// Optimiser steps over lists of tensors.
#include "support.h"

#include <cmath>

using namespace ctorch;

ct_status ct_adamw(const ct_tensor *parameters, const ct_tensor *gradients, const ct_tensor *first,
                   const ct_tensor *second, int32_t count, int64_t step, double learning_rate, double beta1,
                   double beta2, double weight_decay, double epsilon) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto p = list(parameters, count), g = list(gradients, count);
    auto m = list(first, count), v = list(second, count);
    std::vector<at::Tensor> steps;
    for (const auto &tensor : p)
      steps.push_back(at::full({}, static_cast<double>(step), tensor.options().dtype(at::kFloat)));
    at::_fused_adamw_(p, g, m, v, /*max_exp_avg_sqs=*/{}, steps, learning_rate, beta1, beta2, weight_decay,
                      epsilon, /*amsgrad=*/false, /*maximize=*/false);
  });
}

ct_status ct_global_norm(double *out, const ct_tensor *tensors, int32_t count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(list(tensors, count), 2);
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
