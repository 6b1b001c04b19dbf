// Operators on rows: rotation of heads, norms, activations, residual sums and the loss of tokens.
#include "../library/profile.h"
#include "table.h"

#include <algorithm>

#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

namespace ctorch {
namespace {

at::Tensor rotated(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
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
  auto result =
      interleaved ? make::stacked({first, second}, -1).reshape(wide.sizes()) : make::joined({first, second}, -1);
  return (result * scale).to(x.scalar_type());
}

at::Tensor activated(const at::Tensor &x, ct_activation activation) {
  switch (activation) {
  case CT_ACTIVATION_NONE: return x;
  case CT_ACTIVATION_SWISH: return at::silu(x);
  case CT_ACTIVATION_GELU: return at::gelu(x, "none");
  case CT_ACTIVATION_RELU: return x.relu();
  case CT_ACTIVATION_GELU_TANH: return at::gelu(x, "tanh");
  }
  TORCH_CHECK_VALUE(false, "unknown activation ", activation);
}

at::Tensor normed(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons, const at::Tensor &weight,
                  const at::Tensor &bias, ct_norm_kind kind, ct_activation activation) {
  auto wide = x.to(accumulator_type(x.scalar_type()));
  if (kind == CT_NORM_LAYER)
    wide = wide - wide.mean(-1, true);
  auto squares = wide.square().mean(-1, true);
  auto epsilon = epsilons.numel() == 1 ? epsilons.reshape({1, 1, 1, 1}) : epsilons.unsqueeze(-1);
  auto y = (wide * (squares + epsilon).rsqrt()).permute({0, 2, 1, 3}); // [B, T, H, V]
  auto per_head = [&](const at::Tensor &p) { return p.reshape({1, 1, x.size(1), x.size(3)}); };
  if (weight.defined())
    y = y * per_head(weight);
  if (bias.defined())
    y = y + per_head(bias);
  y = y.reshape({x.size(0), x.size(2), x.size(1) * x.size(3)}).to(x.scalar_type());
  return gate.defined() ? y * activated(gate, activation) : y;
}

at::Tensor head_norm(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons,
                     const at::Tensor &weight, const at::Tensor &bias, ct_norm_kind kind, ct_activation activation) {
  auto type = accumulator_type(x.scalar_type());
  auto wide = [&](const at::Tensor &t) { return t.defined() ? t.to(type).contiguous() : t; };
  auto e = wide(epsilons), w = wide(weight), b = wide(bias);
  at::Tensor result;
  if (auto kernels = kernels_for(CT_OP_HEAD_NORM, x))
    result = kernels->head_norm(x.contiguous(), contiguous(gate), e, w, b, kind, activation);
  return result.defined() ? result : normed(x, gate, e, w, b, kind, activation);
}

// Kernels for a residual stream like x and branches of type `branch`: the same type, or bfloat16 under a float32
// stream.
const DeviceOperators *stream_kernels_for(const at::Tensor &x, at::ScalarType branch) {
  bool fits = branch == x.scalar_type() || (branch == at::kBFloat16 && x.scalar_type() == at::kFloat);
  return fits ? kernels_for(CT_OP_RESIDUAL_NORM, x) : nullptr;
}

at::Tensor residual_normed(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, double epsilon,
                           at::ScalarType type) {
  auto wide = x.to(accumulator_type(x.scalar_type()));
  if (bias.defined())
    wide = wide - wide.mean(-1, true);
  auto y = wide * (wide.square().mean(-1, true) + epsilon).rsqrt() * weight;
  return (bias.defined() ? y + bias : y).to(type);
}

void check_targets(const at::Tensor &targets, int64_t rows, int64_t vocabulary) {
  TORCH_CHECK_VALUE(targets.dim() == 1 && targets.size(0) == rows && targets.scalar_type() == at::kLong,
                    "logits [N, V] need int64 targets [N], found ", at::IntArrayRef({rows, vocabulary}), " and ",
                    targets.sizes());
  TORCH_CHECK_INDEX(
      targets.ge(0).logical_and(targets.lt(vocabulary)).logical_or(targets.eq(kIgnored)).all().item().toBool(),
      "a target lies outside the vocabulary of ", vocabulary);
}

} // namespace

at::Tensor gated_activation(const at::Tensor &a, const at::Tensor &b, ct_activation activation) {
  at::Tensor y;
  if (auto kernels = kernels_for(CT_OP_GATED_ACTIVATION, a))
    y = kernels->gated_activation(a.contiguous(), contiguous(b), activation);
  if (y.defined())
    return y;
  y = activated(a, activation);
  return b.defined() ? y * b : y;
}

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
    at::Tensor result;
    if (auto kernels = kernels_for(CT_OP_ROTATE_HEADS, x))
      result = kernels->rotate_heads(x, c, s, interleaved, scale);
    *out = box(result.defined() ? result : rotated(x, c, s, interleaved, scale));
  });
}

ct_status ct_head_norm_gate(ct_tensor *out, ct_tensor input, ct_tensor gate, ct_tensor epsilons, ct_tensor weight,
                            ct_tensor bias, ct_norm_kind kind, ct_activation activation) {
  return guarded([&] {
    profile::Scope scope(CT_PART_GATES);
    const auto &x = input->value, &e = epsilons->value;
    auto g = maybe(gate), w = maybe(weight), b = maybe(bias);
    TORCH_CHECK_VALUE(x.dim() == 4, "the head norm needs [B, H, T, V], found rank ", x.dim());
    int64_t width = x.size(1) * x.size(3), rows = x.size(1) * x.size(2);
    TORCH_CHECK_VALUE(e.numel() == 1 || e.numel() == rows || e.numel() == rows * x.size(0), "epsilons ", e.sizes(),
                      " do not fit rows ", x.sizes());
    TORCH_CHECK_VALUE(!g.defined() || (g.numel() == x.numel() && g.scalar_type() == x.scalar_type()), "the gate ",
                      g.sizes(), " must have the elements and type of ", x.sizes());
    TORCH_CHECK_VALUE((!w.defined() || w.numel() == width) && (!b.defined() || b.numel() == width),
                      "weight and bias of the head norm must have ", width, " elements");
    *out = box(head_norm(x, g, e, w, b, kind, activation));
  });
}

ct_status ct_rms_norm(ct_tensor *out, ct_tensor input, ct_tensor weight, double epsilon) {
  return guarded([&] {
    const auto &x = input->value;
    auto w = maybe(weight);
    TORCH_CHECK_VALUE(x.dim() >= 1 && (!w.defined() || w.numel() == x.size(-1)),
                      "the norm's weight must have the size of the last axis of ", x.sizes());
    auto rows = x.reshape({1, 1, -1, x.size(-1)});
    auto e = make::full({1}, epsilon, x.options().dtype(accumulator_type(x.scalar_type())));
    auto y = head_norm(rows, at::Tensor(), e, w, at::Tensor(), CT_NORM_RMS, CT_ACTIVATION_NONE);
    *out = box(y.reshape(x.sizes()));
  });
}

ct_status ct_gated_activation(ct_tensor *out, ct_tensor left, ct_tensor right, ct_activation activation) {
  return guarded([&] {
    profile::Scope scope(CT_PART_GATES);
    const auto &a = left->value;
    auto b = maybe(right);
    TORCH_CHECK_VALUE(!b.defined() || (b.sizes() == a.sizes() && b.scalar_type() == a.scalar_type()), "the gate ",
                      b.sizes(), " must have the shape and type of the branch ", a.sizes());
    *out = box(gated_activation(a, b, activation));
  });
}

ct_status ct_residual_norm(ct_tensor *out, ct_tensor *sum_out, ct_tensor input, ct_tensor branch, ct_tensor weight,
                           ct_tensor bias, double epsilon, ct_dtype dtype) {
  return guarded([&] {
    const auto &x = input->value;
    auto b = maybe(branch), c = maybe(bias);
    auto type = scalar_type(dtype);
    TORCH_CHECK_VALUE(x.dim() >= 1 && x.size(-1) > 0 && weight->value.numel() == x.size(-1),
                      "the norm's weight must have the size of the last axis of ", x.sizes());
    TORCH_CHECK_VALUE(!c.defined() || c.numel() == x.size(-1),
                      "the norm's bias must have the size of the last axis of ", x.sizes());
    TORCH_CHECK_VALUE(!b.defined() || b.sizes() == x.sizes(), "the branch ", b.sizes(),
                      " must have the shape of the stream ", x.sizes());
    auto wide = accumulator_type(x.scalar_type());
    auto w = weight->value.to(wide).contiguous();
    if (c.defined())
      c = c.to(wide).contiguous();
    auto kernels = stream_kernels_for(x, type);
    if (kernels && (!b.defined() || b.scalar_type() == type)) {
      auto results = kernels->residual_norm(x.contiguous(), contiguous(b), w, c, epsilon, type);
      if (!results.empty()) {
        *out = box(results[0]);
        *sum_out = b.defined() ? box(results[1]) : nullptr;
        return;
      }
    }
    auto sum = b.defined() ? x + b.to(x.scalar_type()) : x;
    *out = box(residual_normed(sum, w, c, epsilon, type));
    *sum_out = b.defined() ? box(sum) : nullptr;
  });
}

ct_status ct_residual_add(ct_tensor *out, ct_tensor input, ct_tensor branch) {
  return guarded([&] {
    const auto &x = input->value, &b = branch->value;
    TORCH_CHECK_VALUE(b.sizes() == x.sizes(), "the branch ", b.sizes(), " must have the shape of the stream ",
                      x.sizes());
    auto kernels = stream_kernels_for(x, b.scalar_type());
    bool has_kernel = kernels && kernels->residual_add;
    *out = box(has_kernel ? kernels->residual_add(x.contiguous(), b.contiguous()) : x + b.to(x.scalar_type()));
  });
}

ct_status ct_scaled_embedding(ct_tensor *out, ct_tensor weight, ct_tensor indices, double scale, ct_dtype dtype) {
  return guarded([&] {
    const auto &w = weight->value, &i = indices->value;
    auto type = scalar_type(dtype);
    bool fits = w.dim() == 2 && w.numel() > 0 && w.is_contiguous() && i.scalar_type() == at::kLong &&
                i.device() == w.device() && i.numel() > 0 &&
                (w.scalar_type() == type || w.scalar_type() == accumulator_type(type));
    auto empty = make::empty({0}, w.options().dtype(type));
    auto kernels = fits ? kernels_for(CT_OP_EMBEDDING, empty) : nullptr;
    if (kernels) {
      auto flat = i.contiguous().reshape({-1});
      const int64_t *p = flat.const_data_ptr<int64_t>();
      auto [low, high] = std::minmax_element(p, p + flat.numel());
      TORCH_CHECK_INDEX(*low >= 0 && *high < w.size(0), "index out of range in a table of ", w.size(0), " rows: ",
                        *low < 0 ? *low : *high);
      auto shape = i.sizes().vec();
      shape.push_back(w.size(1));
      *out = box(kernels->embedding(w, flat, scale, type).reshape(shape));
      return;
    }
    auto rows = at::embedding(w, i).to(type);
    *out = box(scale == 1 ? rows : rows * scale);
  });
}

ct_status ct_token_loss(ct_tensor *losses, ct_tensor *log_sums, ct_tensor logits, ct_tensor targets) {
  return guarded([&] {
    const auto &l = logits->value;
    const auto &t = targets->value;
    TORCH_CHECK_VALUE(l.dim() == 2, "logits must be [N, V], found ", l.sizes());
    check_targets(t, l.size(0), l.size(1));
    variable_list results;
    if (auto kernels = kernels_for(CT_OP_TOKEN_LOSS, l))
      results = kernels->token_loss(l.contiguous(), t.contiguous());
    if (!results.empty()) {
      *losses = box(results[0]);
      *log_sums = box(results[1]);
      return;
    }
    auto wide = l.to(accumulator_type(l.scalar_type()));
    auto z = wide.logsumexp(1);
    auto picked = wide.gather(1, t.clamp_min(0).unsqueeze(1)).squeeze(1);
    *losses = box((z - picked).masked_fill(t.eq(kIgnored), 0));
    *log_sums = box(z);
  });
}

ct_status ct_output_loss(ct_tensor *loss, ct_tensor *entropy, ct_tensor *correct, ct_tensor input, ct_tensor weight,
                         ct_tensor bias, ct_tensor targets, double z_loss, int64_t block_bytes) {
  return guarded([&] {
    const auto &x = input->value, &w = weight->value, &t = targets->value;
    auto b = maybe(bias);
    TORCH_CHECK_VALUE(x.dim() == 2 && w.dim() == 2 && x.numel() > 0 && w.numel() > 0 && x.size(1) == w.size(1) &&
                          (!b.defined() || (b.dim() == 1 && b.size(0) == w.size(0))),
                      "hidden states ", x.sizes(), " do not fit an output matrix ", w.sizes());
    check_targets(t, x.size(0), w.size(0));
    auto results = required_kernels(CT_OP_OUTPUT_LOSS, x)
                       .output_loss({x.contiguous(), w, b, t.contiguous(), z_loss, correct != nullptr, block_bytes});
    *loss = box(results[0]);
    *entropy = box(results[1].detach());
    if (correct)
      *correct = box(results[2].detach());
  });
}
