// Products of rows with a weight: y = x W^T + b.
//
// One token of generation multiplies a few rows with every weight of a model, and should cost the reading of the
// weights. Matrix products of libraries are made for many rows and pack their operands first: in float32, 8 rows cost
// twice as much with them and 64 a third more.
#include "node.h"
#include "table.h"

#include <ATen/ops/linear.h>

namespace ctorch {
namespace {

// The number of rows up to which products of our own are faster: fewer where LibTorch has instructions for 16 bits.
int64_t row_limit(const at::Tensor &x) {
  return x.scalar_type() == at::kFloat || multiplies_in_float32(x) ? 64 : 8;
}

bool fit_few_rows(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias) {
  if (x.dim() < 1 || weight.dim() != 2 || x.size(-1) != weight.size(1) || x.numel() == 0 || weight.numel() == 0)
    return false;
  if (x.scalar_type() != weight.scalar_type() || x.device() != weight.device() || !weight.is_contiguous())
    return false;
  if (bias.defined() && (bias.dim() != 1 || bias.size(0) != weight.size(0) || bias.device() != x.device() ||
                         bias.scalar_type() != x.scalar_type()))
    return false;
  return x.numel() / x.size(-1) <= row_limit(x);
}

// With a graph the forward pass has the same bits as without one, so that recomputed segments equal their first run.
at::Tensor recorded_few_rows(const DeviceOperators &kernels, const at::Tensor &x, const at::Tensor &weight,
                             const at::Tensor &bias) {
  bool need_x = x.requires_grad(), need_weight = weight.requires_grad();
  bool need_bias = bias.defined() && bias.requires_grad();
  return record(
      {x, weight, bias}, [&]() -> Pass { return {{kernels.few_rows(x, weight, bias)}, {x, weight}}; },
      [=](const variable_list &saved, variable_list &gradients) -> variable_list {
        auto shape = saved[0].sizes();
        auto d = gradients[0].reshape({-1, saved[1].size(0)}), weight = saved[1];
        auto x = saved[0].reshape({-1, weight.size(1)});
        variable_list result(3);
        if (need_bias)
          result[2] = d.sum(0);
        auto type = widen_operands(d, x, weight);
        if (need_x)
          result[0] = d.mm(weight).to(type).reshape(shape);
        if (need_weight)
          result[1] = d.t().mm(x).to(type);
        return result;
      })[0];
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_linear(ct_tensor *out, ct_tensor input, ct_tensor weight, ct_tensor bias) {
  return guarded([&] {
    const auto &x = input->value, &w = weight->value;
    auto b = maybe(bias);
    auto kernels = fit_few_rows(x, w, b) ? kernels_for(CT_OP_FEW_ROWS, x) : nullptr;
    if (!kernels && x.dim() > 0 && multiplies_in_float32(x) && multiplies_in_float32(w))
      *out = box(at::linear(in_float32(x), in_float32(w), b.defined() ? std::optional(in_float32(b)) : std::nullopt)
                     .to(x.scalar_type()));
    else if (!kernels)
      *out = box(at::linear(x, w, optional(bias)));
    else if (at::GradMode::is_enabled() &&
             (x.requires_grad() || w.requires_grad() || (b.defined() && b.requires_grad())))
      *out = box(recorded_few_rows(*kernels, x, w, b));
    else
      *out = box(kernels->few_rows(x, w, b));
  });
}
