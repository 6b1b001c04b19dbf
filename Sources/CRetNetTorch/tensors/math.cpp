// Element-wise mathematics, reductions, products, losses, in-place updates.
#include "../library/aten.h"

#include <ATen/Parallel.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_solve_triangular.h>
#include <ATen/ops/nll_loss.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softplus.h>
#include <atomic>

using namespace ctorch;

static at::Tensor unary(const at::Tensor &x, ct_unary op) {
  switch (op) {
  case CT_NEG: return x.neg();
  case CT_ABS: return x.abs();
  case CT_EXP: return x.exp();
  case CT_EXPM1: return x.expm1();
  case CT_LOG: return x.log();
  case CT_LOG1P: return x.log1p();
  case CT_SQRT: return x.sqrt();
  case CT_RSQRT: return x.rsqrt();
  case CT_SIN: return x.sin();
  case CT_COS: return x.cos();
  case CT_TANH: return x.tanh();
  case CT_SIGMOID: return x.sigmoid();
  case CT_SILU: return at::silu(x);
  case CT_GELU: return at::gelu(x, "none");
  case CT_RELU: return x.relu();
  case CT_RECIPROCAL: return x.reciprocal();
  case CT_IS_FINITE: return at::isfinite(x);
  case CT_LOGICAL_NOT: return x.logical_not();
  case CT_SOFTPLUS: return at::softplus(x);
  }
  TORCH_CHECK_VALUE(false, "unknown unary operation ", op);
}

template <class Right> static at::Tensor comparison_or_power(const at::Tensor &a, const Right &b, ct_binary op) {
  switch (op) {
  case CT_POW: return at::pow(a, b);
  case CT_LT: return a.lt(b);
  case CT_LE: return a.le(b);
  case CT_GT: return a.gt(b);
  case CT_GE: return a.ge(b);
  case CT_EQ: return a.eq(b);
  case CT_NE: return a.ne(b);
  case CT_REMAINDER: return a.remainder(b);
  default: break;
  }
  TORCH_CHECK_VALUE(false, "unknown binary operation ", op);
}

ct_status ct_unary_op(ct_tensor *out, ct_tensor t, ct_unary op) {
  return guarded([&] { *out = box(unary(t->value, op)); });
}

ct_status ct_binary_op(ct_tensor *out, ct_tensor left, ct_tensor right, ct_binary op) {
  return guarded([&] {
    const auto &a = left->value, &b = right->value;
    switch (op) {
    case CT_ADD: *out = box(a.add(b)); break;
    case CT_SUB: *out = box(a.sub(b)); break;
    case CT_MUL: *out = box(a.mul(b)); break;
    case CT_DIV: *out = box(a.div(b)); break;
    case CT_MAXIMUM: *out = box(a.maximum(b)); break;
    case CT_MINIMUM: *out = box(a.minimum(b)); break;
    default: *out = box(comparison_or_power(a, b, op));
    }
  });
}

ct_status ct_scalar_op(ct_tensor *out, ct_tensor t, double value, ct_binary op, bool reversed) {
  return guarded([&] {
    const auto &x = t->value;
    at::Scalar s(value);
    switch (op) {
    case CT_ADD: *out = box(x.add(s)); break;
    case CT_SUB: *out = box(reversed ? at::rsub(x, s) : x.sub(s)); break;
    case CT_MUL: *out = box(x.mul(s)); break;
    case CT_DIV: *out = box(reversed ? x.reciprocal().mul(s) : x.div(s)); break;
    case CT_POW: *out = box(reversed ? at::pow(s, x) : at::pow(x, s)); break;
    case CT_MAXIMUM: *out = box(x.clamp_min(s)); break;
    case CT_MINIMUM: *out = box(x.clamp_max(s)); break;
    default: *out = box(comparison_or_power(x, s, op));
    }
  });
}

ct_status ct_reduce(ct_tensor *out, ct_tensor t, const int64_t *axes, int32_t count, bool keep, ct_reduction op) {
  return guarded([&] {
    const auto &x = t->value;
    at::IntArrayRef dims(axes, count);
    switch (op) {
    case CT_SUM: *out = box(count ? x.sum(dims, keep) : x.sum()); return;
    case CT_MEAN: *out = box(count ? x.mean(dims, keep) : x.mean()); return;
    case CT_AMAX: *out = box(x.amax(dims, keep)); return;
    case CT_AMIN: *out = box(x.amin(dims, keep)); return;
    }
    TORCH_CHECK_VALUE(false, "unknown reduction ", op);
  });
}

ct_status ct_atan2(ct_tensor *out, ct_tensor y, ct_tensor x) {
  return guarded([&] { *out = box(y->value.atan2(x->value)); });
}
ct_status ct_clamp(ct_tensor *out, ct_tensor t, double low, double high) {
  return guarded([&] { *out = box(t->value.clamp(low, high)); });
}
ct_status ct_matmul(ct_tensor *out, ct_tensor a, ct_tensor b) {
  return guarded([&] {
    const auto &x = a->value, &y = b->value;
    bool widens = multiplies_in_float32(x) && multiplies_in_float32(y);
    *out = box(widens ? in_float32(x).matmul(in_float32(y)).to(x.scalar_type()) : x.matmul(y));
  });
}
ct_status ct_cumsum(ct_tensor *out, ct_tensor t, int64_t axis) {
  return guarded([&] { *out = box(t->value.cumsum(axis)); });
}
ct_status ct_softmax(ct_tensor *out, ct_tensor t, int64_t axis, bool logarithm) {
  return guarded([&] { *out = box(logarithm ? t->value.log_softmax(axis) : t->value.softmax(axis)); });
}
ct_status ct_argmax(ct_tensor *out, ct_tensor t, int64_t axis) {
  return guarded([&] { *out = box(t->value.argmax(axis)); });
}
ct_status ct_tril(ct_tensor *out, ct_tensor t, int64_t diagonal) {
  return guarded([&] { *out = box(t->value.tril(diagonal)); });
}
ct_status ct_solve_lower_triangular(ct_tensor *out, ct_tensor a, ct_tensor b, bool unit) {
  return guarded([&] { *out = box(at::linalg_solve_triangular(a->value, b->value, false, true, unit)); });
}
ct_status ct_orthonormal_columns(ct_tensor *out, ct_tensor t) {
  return guarded([&] {
    auto [q, r] = at::linalg_qr(t->value);
    *out = box(q * r.diagonal().sign());
  });
}

ct_status ct_embedding(ct_tensor *out, ct_tensor weight, ct_tensor indices) {
  return guarded([&] { *out = box(at::embedding(weight->value, indices->value)); });
}
ct_status ct_layer_norm(ct_tensor *out, ct_tensor t, ct_tensor weight, ct_tensor bias, double epsilon) {
  return guarded([&] {
    const auto &x = t->value;
    *out = box(at::layer_norm(x, {x.size(-1)}, optional(weight), optional(bias), epsilon));
  });
}
ct_status ct_cross_entropy(ct_tensor *out, ct_tensor logits, ct_tensor targets, ct_loss_reduction reduction) {
  return guarded([&] {
    // Losses are float32 at least, whatever the type of the model.
    auto x = logits->value.scalar_type() == at::kDouble ? logits->value : logits->value.to(at::kFloat);
    auto log_probabilities = x.log_softmax(-1);
    *out = box(at::nll_loss(log_probabilities, targets->value, {}, reduction, -100));
  });
}
// True if no exponent has all bits set, as only those of infinities and NaN have; reads every element once.
template <class Bits> static bool all_below(const void *values, int64_t count, Bits exponent) {
  const auto *bits = static_cast<const Bits *>(values);
  std::atomic<bool> found{false};
  at::parallel_for(0, count, 1 << 20, [&](int64_t begin, int64_t end) {
    Bits any = 0;
    for (int64_t i = begin; i < end; ++i)
      any |= static_cast<Bits>((bits[i] & exponent) == exponent);
    if (any)
      found.store(true, std::memory_order_relaxed);
  });
  return !found.load();
}

ct_status ct_all_finite(bool *out, ct_tensor t) {
  return guarded([&] {
    const auto &x = t->value;
    const auto type = x.scalar_type();
    if (x.is_cpu() && x.is_contiguous()) {
      const auto count = x.numel();
      const void *values = x.const_data_ptr();
      switch (type) {
      case at::kBFloat16: *out = all_below<uint16_t>(values, count, 0x7f80); return;
      case at::kHalf: *out = all_below<uint16_t>(values, count, 0x7c00); return;
      case at::kFloat: *out = all_below<uint32_t>(values, count, 0x7f800000u); return;
      case at::kDouble: *out = all_below<uint64_t>(values, count, 0x7ff0000000000000u); return;
      default: break;
      }
    }
    *out = at::isfinite(x).all().item<bool>();
  });
}
ct_status ct_copy_in_place(ct_tensor destination, ct_tensor source) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    destination->value.copy_(source->value);
  });
}
ct_status ct_scale_in_place(ct_tensor t, double factor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.mul_(factor);
  });
}
ct_status ct_add_in_place(ct_tensor t, ct_tensor other, double factor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    t->value.add_(other->value, factor);
  });
}
