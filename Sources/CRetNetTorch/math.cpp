// Element-wise mathematics, reductions, products, losses, in-place updates.
#include "support.h"

using namespace ctorch;

static at::Tensor unary(const at::Tensor &x, int32_t op) {
  switch (op) {
  case CT_NEG: return at::neg(x);
  case CT_ABS: return at::abs(x);
  case CT_EXP: return at::exp(x);
  case CT_EXPM1: return at::expm1(x);
  case CT_LOG: return at::log(x);
  case CT_LOG1P: return at::log1p(x);
  case CT_SQRT: return at::sqrt(x);
  case CT_RSQRT: return at::rsqrt(x);
  case CT_SIN: return at::sin(x);
  case CT_COS: return at::cos(x);
  case CT_TANH: return at::tanh(x);
  case CT_SIGMOID: return at::sigmoid(x);
  case CT_SILU: return at::silu(x);
  case CT_GELU: return at::gelu(x, "none");
  case CT_RELU: return at::relu(x);
  case CT_RECIPROCAL: return at::reciprocal(x);
  case CT_IS_FINITE: return at::isfinite(x);
  case CT_LOGICAL_NOT: return at::logical_not(x);
  case CT_SOFTPLUS: return at::softplus(x);
  }
  TORCH_CHECK_VALUE(false, "unknown unary operation ", op);
}

template <class Right> static at::Tensor comparison_or_power(const at::Tensor &a, const Right &b, int32_t op) {
  switch (op) {
  case CT_POW: return at::pow(a, b);
  case CT_LT: return at::lt(a, b);
  case CT_LE: return at::le(a, b);
  case CT_GT: return at::gt(a, b);
  case CT_GE: return at::ge(a, b);
  case CT_EQ: return at::eq(a, b);
  case CT_NE: return at::ne(a, b);
  case CT_REMAINDER: return at::remainder(a, b);
  }
  TORCH_CHECK_VALUE(false, "unknown binary operation ", op);
}

ct_status ct_unary_op(ct_tensor *out, ct_tensor t, int32_t op) {
  return guarded([&] { *out = box(unary(t->value, op)); });
}

ct_status ct_binary_op(ct_tensor *out, ct_tensor left, ct_tensor right, int32_t op) {
  return guarded([&] {
    const auto &a = left->value, &b = right->value;
    switch (op) {
    case CT_ADD: *out = box(at::add(a, b)); break;
    case CT_SUB: *out = box(at::sub(a, b)); break;
    case CT_MUL: *out = box(at::mul(a, b)); break;
    case CT_DIV: *out = box(at::div(a, b)); break;
    case CT_MAXIMUM: *out = box(at::maximum(a, b)); break;
    case CT_MINIMUM: *out = box(at::minimum(a, b)); break;
    default: *out = box(comparison_or_power(a, b, op));
    }
  });
}

ct_status ct_scalar_op(ct_tensor *out, ct_tensor t, double value, int32_t op, bool reversed) {
  return guarded([&] {
    const auto &x = t->value;
    at::Scalar s(value);
    switch (op) {
    case CT_ADD: *out = box(at::add(x, s)); break;
    case CT_SUB: *out = box(reversed ? at::rsub(x, s) : at::sub(x, s)); break;
    case CT_MUL: *out = box(at::mul(x, s)); break;
    case CT_DIV: *out = box(reversed ? at::mul(at::reciprocal(x), s) : at::div(x, s)); break;
    case CT_POW: *out = box(reversed ? at::pow(s, x) : at::pow(x, s)); break;
    case CT_MAXIMUM: *out = box(at::clamp_min(x, s)); break;
    case CT_MINIMUM: *out = box(at::clamp_max(x, s)); break;
    default: *out = box(comparison_or_power(x, s, op));
    }
  });
}

ct_status ct_reduce(ct_tensor *out, ct_tensor t, const int64_t *axes, int32_t count, bool keep, int32_t op) {
  return guarded([&] {
    const auto &x = t->value;
    at::IntArrayRef dims(axes, count);
    switch (op) {
    case CT_SUM: *out = box(count ? at::sum(x, dims, keep) : at::sum(x)); return;
    case CT_MEAN: *out = box(count ? at::mean(x, dims, keep) : at::mean(x)); return;
    case CT_AMAX: *out = box(at::amax(x, dims, keep)); return;
    case CT_AMIN: *out = box(at::amin(x, dims, keep)); return;
    }
    TORCH_CHECK_VALUE(false, "unknown reduction ", op);
  });
}

ct_status ct_clamp(ct_tensor *out, ct_tensor t, double low, double high) {
  return guarded([&] { *out = box(at::clamp(t->value, low, high)); });
}
ct_status ct_matmul(ct_tensor *out, ct_tensor a, ct_tensor b) {
  return guarded([&] { *out = box(at::matmul(a->value, b->value)); });
}
ct_status ct_linear(ct_tensor *out, ct_tensor input, ct_tensor weight, ct_tensor bias) {
  return guarded([&] { *out = box(at::linear(input->value, weight->value, optional(bias))); });
}
ct_status ct_cumsum(ct_tensor *out, ct_tensor t, int64_t axis) {
  return guarded([&] { *out = box(at::cumsum(t->value, axis)); });
}
ct_status ct_softmax(ct_tensor *out, ct_tensor t, int64_t axis, bool logarithm) {
  return guarded([&] {
    *out = box(logarithm ? at::log_softmax(t->value, axis) : at::softmax(t->value, axis));
  });
}
ct_status ct_argmax(ct_tensor *out, ct_tensor t, int64_t axis) {
  return guarded([&] { *out = box(at::argmax(t->value, axis)); });
}
ct_status ct_tril(ct_tensor *out, ct_tensor t, int64_t diagonal) {
  return guarded([&] { *out = box(at::tril(t->value, diagonal)); });
}
ct_status ct_solve_lower_triangular(ct_tensor *out, ct_tensor a, ct_tensor b, bool unit) {
  return guarded([&] { *out = box(at::linalg_solve_triangular(a->value, b->value, false, true, unit)); });
}
ct_status ct_orthonormal_columns(ct_tensor *out, ct_tensor t) {
  return guarded([&] {
    auto [q, r] = at::linalg_qr(t->value);
    *out = box(q * at::sign(r.diagonal()));
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
ct_status ct_cross_entropy(ct_tensor *out, ct_tensor logits, ct_tensor targets, int32_t reduction) {
  return guarded([&] {
    // Losses are float32 at least, whatever the type of the model.
    auto x = logits->value.scalar_type() == at::kDouble ? logits->value : logits->value.to(at::kFloat);
    auto log_probabilities = at::log_softmax(x, -1);
    *out = box(at::nll_loss(log_probabilities, targets->value, {}, reduction, -100));
  });
}
ct_status ct_all_finite(bool *out, ct_tensor t) {
  return guarded([&] { *out = at::isfinite(t->value).all().item<bool>(); });
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
