// Products of rows with a weight: y = x W^T + b.
//
// One token of generation multiplies a few rows with every weight of a model, and should cost the reading of the
// weights. Matrix products of libraries are made for many rows and pack their operands first: in float32, 8 rows cost
// twice as much with them and 64 a third more.
#include "products.h"
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

// Rows that are converted at once: a few megabytes.
int64_t block_rows(int64_t widths) { return std::max<int64_t>(64, (int64_t(1) << 20) / std::max<int64_t>(widths, 1)); }

at::Tensor block(const at::Tensor &x, const Span &span) { return in_float32(x.narrow(0, span.start, span.length)); }

} // namespace

at::Tensor times_transposed(const at::Tensor &x, const at::Tensor &weight) {
  if (!multiplies_in_float32(x))
    return x.mm(weight.t());
  auto wide = in_float32(weight).t();
  auto out = make::empty({x.size(0), weight.size(0)}, x.options());
  for (auto span : spans(x.size(0), block_rows(x.size(1) + weight.size(0))))
    out.narrow(0, span.start, span.length).copy_(block(x, span).mm(wide));
  return out;
}

at::Tensor times(const at::Tensor &d, const at::Tensor &weight) {
  if (!multiplies_in_float32(d))
    return d.mm(weight);
  auto wide = in_float32(weight);
  auto out = make::empty({d.size(0), weight.size(1)}, d.options());
  for (auto span : spans(d.size(0), block_rows(d.size(1) + weight.size(1))))
    out.narrow(0, span.start, span.length).copy_(block(d, span).mm(wide));
  return out;
}

at::Tensor transposed_times(const at::Tensor &d, const at::Tensor &x) {
  if (!multiplies_in_float32(d))
    return d.t().mm(x);
  at::Tensor sum;
  for (auto span : spans(d.size(0), block_rows(d.size(1) + x.size(1)))) {
    auto left = block(d, span).t(), right = block(x, span);
    if (sum.defined())
      sum.addmm_(left, right);
    else
      sum = left.mm(right);
  }
  return sum.to(d.scalar_type());
}

namespace {

// Products of bfloat16 in float32: operands are kept for the backward pass as they are, not converted.
at::Tensor recorded_in_float32(const at::Tensor &x, const at::Tensor &weight) {
  bool need_x = x.requires_grad(), need_weight = weight.requires_grad();
  auto given = x.sizes().vec(), shape = given;
  shape.back() = weight.size(0);
  return record(
      {x, weight},
      [&]() -> Pass {
        auto rows = x.reshape({-1, x.size(-1)});
        return {{times_transposed(rows, weight).reshape(shape)}, {rows, weight}};
      },
      [=](const variable_list &saved, variable_list &gradients) -> variable_list {
        const auto &rows = saved[0], &weight = saved[1];
        auto d = gradients[0].to(weight.scalar_type()).contiguous().reshape({-1, weight.size(0)});
        return {need_x ? times(d, weight).reshape(given) : at::Tensor(),
                need_weight ? transposed_times(d, rows) : at::Tensor()};
      })[0];
}

bool is_plain_product(const at::Tensor &x, const at::Tensor &weight) {
  return x.dim() > 0 && weight.dim() == 2 && x.size(-1) == weight.size(1) && x.numel() > 0 && weight.numel() > 0;
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_linear(ct_tensor *out, ct_tensor input, ct_tensor weight, ct_tensor bias) {
  return guarded([&] {
    const auto &x = input->value, &w = weight->value;
    auto b = maybe(bias);
    auto kernels = fit_few_rows(x, w, b) ? kernels_for(CT_OP_FEW_ROWS, x) : nullptr;
    bool in_32_bits = !kernels && x.dim() > 0 && multiplies_in_float32(x) && multiplies_in_float32(w);
    if (in_32_bits && !b.defined() && is_plain_product(x, w))
      *out = box(recorded_in_float32(x, w));
    else if (in_32_bits)
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
