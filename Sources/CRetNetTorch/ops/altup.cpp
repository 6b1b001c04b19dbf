// AltUp (arXiv 2301.13310): mixing of the K blocks, and of the tokens of a sequence around its anchors.
//
//   x_new^i = sum_j p_ij x^j + g_i (y - sum_j p_aj x^j),    a the active block, y its layer's output
//
// Sequence-AltUp (arXiv 2301.13310, section on sequence reduction): a layer sees every k-th token, the anchors;
// all others take its effect on the anchor before them.
//
//   p_i = a1 x_i + a2 x_c,    out_i = p_i + b (y_c - p_c),    c the anchor at or before token i
//
// Written as out_i = a1 x_i + base_c, base_c = a2 x_c + b innovation_c, innovation_c = y_c - (a1 x_c + a2 x_c).
// Anchor and innovation of the last group are the start of a later piece of the sequence; they are kept in the
// accumulator type, so that pieces equal the whole.
#include "table.h"

namespace ctorch {
namespace {

// Sums of the inputs with weights [rows, inputs].
variable_list combined(const variable_list &in, const at::Tensor &weights) {
  auto type = accumulator_type(in[0].scalar_type());
  auto w = weights.to(in[0].device(), type);
  variable_list out;
  for (int64_t r = 0; r < w.size(0); r++) {
    auto sum = in[0].to(type) * w.select(0, r).select(0, 0);
    for (size_t j = 1; j < in.size(); j++)
      sum = sum + in[j].to(type) * w.select(0, r).select(0, static_cast<int64_t>(j));
    out.push_back(sum.to(in[0].scalar_type()));
  }
  return out;
}

// Empty where there is no kernel.
variable_list by_kernel(const variable_list &in, const at::Tensor &p, const at::Tensor &g,
                        const std::vector<double> &constants, int64_t active, StreamWeights weights) {
  auto kernels = kernels_for(CT_OP_ALTUP, in[0]);
  return kernels ? kernels->combine(in, p, g, constants, active, weights) : variable_list();
}

// Sequence-AltUp as a chain: every token takes the base of its group.
variable_list mixed_groups(const at::Tensor &x, const at::Tensor &y, const at::Tensor &anchor,
                           const at::Tensor &innovation, const at::Tensor &coefficients, int64_t first,
                           int64_t stride) {
  TokenGroups groups{x.size(0), x.size(1), x.size(2), first, stride};
  auto type = coefficients.scalar_type();
  auto a1 = coefficients.select(0, 0), a2 = coefficients.select(0, 1), b = coefficients.select(0, 2);
  auto wide = x.to(type);
  variable_list anchors, innovations; // [B, groups, D]
  if (groups.carried()) {
    anchors.push_back(anchor.unsqueeze(1));
    innovations.push_back(innovation.unsqueeze(1));
  }
  if (groups.anchors() > 0) {
    auto own = wide.slice(1, first, groups.time, stride);
    anchors.push_back(own);
    innovations.push_back(y.to(type) - (own * a1 + own * a2));
  }
  auto all_anchors = make::joined(anchors, 1), all_innovations = make::joined(innovations, 1);
  auto base = all_anchors * a2 + all_innovations * b;
  std::vector<int64_t> group_of;
  for (int64_t group = 0; group < groups.count(); group++) {
    int64_t a = groups.anchor(group);
    group_of.insert(group_of.end(), groups.end(a) - groups.begin(a), group);
  }
  auto spread = base.index_select(1, make::vector(group_of).to(x.device()));
  int64_t last = groups.count() - 1;
  return {(wide * a1 + spread).to(x.scalar_type()), all_anchors.select(1, last), all_innovations.select(1, last)};
}

variable_list checked(const ct_tensor *tensors, int32_t count) {
  auto in = list(tensors, count);
  TORCH_CHECK_VALUE(!in.empty(), "no blocks to combine");
  for (const auto &x : in)
    TORCH_CHECK_VALUE(x.sizes() == in[0].sizes() && x.scalar_type() == in[0].scalar_type(),
                      "blocks must have one shape and type, found ", in[0].sizes(), " ", in[0].scalar_type(), " and ",
                      x.sizes(), " ", x.scalar_type());
  return in;
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_altup_mix(ct_tensor *outs, const ct_tensor *blocks, int32_t count, ct_tensor output,
                       ct_tensor prediction, ct_tensor correction, int32_t active) {
  return guarded([&] {
    auto in = checked(blocks, count);
    const auto &y = output->value, &p = prediction->value, &g = correction->value;
    TORCH_CHECK_VALUE(y.sizes() == in[0].sizes() && y.scalar_type() == in[0].scalar_type(), "the layer's output ",
                      y.sizes(), " ", y.scalar_type(), " must have the shape and type of the blocks ", in[0].sizes(),
                      " ", in[0].scalar_type());
    TORCH_CHECK_VALUE(p.dim() == 2 && p.size(0) == count && p.size(1) == count && g.dim() == 1 && g.size(0) == count,
                      "mixing ", count, " blocks needs p [K, K] and g [K], found ", p.sizes(), " and ", g.sizes());
    TORCH_CHECK_VALUE(active >= 0 && active < count, "there is no block ", active, " among ", count);
    in.push_back(y);
    auto results = by_kernel(in, p, g, {}, active, StreamWeights::mix);
    if (results.empty()) {
      auto folded = p - g.unsqueeze(1) * p.select(0, active).unsqueeze(0);
      results = combined(in, make::joined({folded, g.unsqueeze(1)}, 1));
    }
    box_all(outs, results);
  });
}

ct_status ct_altup_predict(ct_tensor *out, const ct_tensor *blocks, int32_t count, ct_tensor prediction,
                           int32_t active) {
  return guarded([&] {
    auto in = checked(blocks, count);
    const auto &p = prediction->value;
    TORCH_CHECK_VALUE(p.dim() == 2 && p.size(0) == count && p.size(1) == count, "predicting ", count,
                      " blocks needs p [K, K], found ", p.sizes());
    TORCH_CHECK_VALUE(active >= 0 && active < count, "there is no block ", active, " among ", count);
    auto results = by_kernel(in, p, {}, {}, active, StreamWeights::predict);
    box_all(out, results.empty() ? combined(in, p.select(0, active).unsqueeze(0)) : results);
  });
}

ct_status ct_combine(ct_tensor *outs, int32_t out_count, const ct_tensor *ins, int32_t in_count,
                     const double *weights) {
  return guarded([&] {
    auto in = checked(ins, in_count);
    TORCH_CHECK_VALUE(out_count >= 1, "a combination needs an output");
    std::vector<double> w(weights, weights + int64_t(out_count) * in_count);
    auto results = by_kernel(in, {}, {}, w, 0, StreamWeights::constant);
    box_all(outs, results.empty() ? combined(in, make::vector(w).reshape({out_count, in_count})) : results);
  });
}

ct_status ct_sequence_altup(ct_tensor *out, ct_tensor *anchor_out, ct_tensor *innovation_out, ct_tensor x,
                            ct_tensor layer_output, ct_tensor anchor, ct_tensor innovation, ct_tensor coefficients,
                            int64_t first, int64_t stride) {
  return guarded([&] {
    const auto &in = x->value;
    auto y = maybe(layer_output), a = maybe(anchor), e = maybe(innovation);
    TORCH_CHECK_VALUE(in.dim() == 3 && in.size(1) > 0 && stride >= 1 && first >= 0,
                      "groups of tokens need x [B, T, D], found ", in.sizes());
    TokenGroups groups{in.size(0), in.size(1), in.size(2), first, stride};
    TORCH_CHECK_VALUE(groups.anchors() == 0 ||
                          (y.defined() && y.dim() == 3 && y.size(0) == in.size(0) && y.size(1) == groups.anchors() &&
                           y.size(2) == in.size(2) && y.scalar_type() == in.scalar_type()),
                      "the layer's output must be that of ", groups.anchors(), " anchors of ", in.sizes());
    TORCH_CHECK_VALUE(!groups.carried() || (a.defined() && e.defined()),
                      "tokens before the first anchor need the anchor before them");
    auto wide = in.options().dtype(accumulator_type(in.scalar_type()));
    for (const auto &t : {a, e})
      TORCH_CHECK_VALUE(!t.defined() || (t.dim() == 2 && t.size(0) == in.size(0) && t.size(1) == in.size(2)),
                        "anchor and innovation must be [B, D], found ", t.sizes());
    TORCH_CHECK_VALUE(coefficients->value.numel() == 3, "a1, a2 and b are needed");
    auto prepared = [&](const at::Tensor &t) { return t.defined() ? t.to(wide).contiguous() : t; };
    auto layer = groups.anchors() ? y.contiguous() : at::Tensor();
    auto kernels = kernels_for(CT_OP_SEQUENCE_ALTUP, in);
    auto mix = kernels ? kernels->sequence_altup : mixed_groups;
    auto results =
        mix(in.contiguous(), layer, prepared(a), prepared(e), prepared(coefficients->value), first, stride);
    *out = box(results[0]);
    *anchor_out = box(results[1]);
    *innovation_out = box(results[2]);
  });
}
