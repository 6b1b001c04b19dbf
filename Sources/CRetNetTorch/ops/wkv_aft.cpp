// WKV (RWKV-4) and the biased window of AFT: checks. Their other form is written in Swift.
#include "../library/profile.h"
#include "table.h"

namespace ctorch {
namespace {

void check_rows(const at::Tensor &key, const at::Tensor &value) {
  TORCH_CHECK_VALUE(key.dim() == 3 && value.sizes() == key.sizes(), "keys ", key.sizes(), " and values ",
                    value.sizes(), " must both be [B, T, C]");
  TORCH_CHECK_VALUE(key.size(1) >= 1, "an average needs at least one position");
  TORCH_CHECK_TYPE(key.scalar_type() == value.scalar_type(), "keys and values must have one element type");
}

void check_sums(const at::Tensor &key, std::initializer_list<at::Tensor> sums) {
  bool given = sums.begin()->defined();
  for (const auto &t : sums) {
    TORCH_CHECK_VALUE(t.defined() == given, "numerator, denominator and exponent go together");
    TORCH_CHECK_VALUE(!given || (t.dim() == 2 && t.size(0) == key.size(0) && t.size(1) == key.size(2)), "the sums ",
                      t.sizes(), " do not fit keys ", key.sizes());
  }
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_wkv(ct_tensor *out, ct_tensor key, ct_tensor value, ct_tensor decay, ct_tensor bonus,
                 ct_tensor numerator, ct_tensor denominator, ct_tensor exponent) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto k = key->value.contiguous(), v = value->value.contiguous();
    auto n = maybe(numerator), d = maybe(denominator), e = maybe(exponent);
    check_rows(k, v);
    check_sums(k, {n, d, e});
    auto channelwise = [&](ct_tensor t, const char *what) {
      TORCH_CHECK_VALUE(t->value.dim() == 1 && t->value.size(0) == k.size(2), what, " ", t->value.sizes(),
                        " must have one number for each of the ", k.size(2), " channels");
      return t->value.to(accumulator_type(k.scalar_type())).contiguous();
    };
    auto w = channelwise(decay, "the decay"), u = channelwise(bonus, "the bonus");
    box_all(out, required_kernels(CT_OP_WKV, k).wkv(k, v, w, u, {n, d, e}));
  });
}

ct_status ct_biased_window(ct_tensor *out, ct_tensor key, ct_tensor value, ct_tensor bias, ct_tensor past_key,
                           ct_tensor past_value, ct_tensor numerator, ct_tensor denominator, ct_tensor exponent,
                           const int64_t *starts, const int64_t *ends, int64_t window, bool matrix, bool absorbs) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto k = key->value.contiguous(), v = value->value.contiguous();
    auto b = bias->value.to(accumulator_type(k.scalar_type())).contiguous();
    auto pk = maybe(past_key), pv = maybe(past_value);
    auto n = maybe(numerator), d = maybe(denominator), e = maybe(exponent);
    check_rows(k, v);
    check_sums(k, {n, d, e});
    int64_t batch = k.size(0), time = k.size(1), capacity = 0;
    TORCH_CHECK_VALUE(pk.defined() == pv.defined(), "keys and values of the history go together");
    if (pk.defined()) {
      TORCH_CHECK_VALUE(pk.dim() == 3 && pv.sizes() == pk.sizes() && pk.size(0) == batch && pk.size(2) == k.size(2),
                        "the history ", pk.sizes(), " and ", pv.sizes(), " does not fit keys ", k.sizes());
      pk = pk.to(k.scalar_type()).contiguous();
      pv = pv.to(k.scalar_type()).contiguous();
      capacity = pk.size(1);
    }
    TORCH_CHECK_VALUE(b.dim() == 3 && (b.size(0) == 1 || b.size(0) == batch) && b.size(1) == time, "biases ",
                      b.sizes(), " do not fit keys ", k.sizes());
    TORCH_CHECK_VALUE(window >= 1 && (matrix || b.size(2) >= window), "a window of ", window,
                      " needs as many biases");
    std::vector<int64_t> first(starts, starts + batch), last(ends, ends + batch);
    for (int64_t row = 0; row < batch; row++) {
      int64_t count = last[row] - first[row];
      TORCH_CHECK_VALUE(first[row] >= 0 && count >= 0 && last[row] <= capacity, "row ", row, " of the history has ",
                        capacity, " entries; ", first[row], " ..< ", last[row], " is not among them");
      TORCH_CHECK_VALUE(!matrix || (b.size(2) >= count + time && (b.size(0) == batch || count == last[0] - first[0])),
                        "biases ", b.sizes(), " do not reach the ", count, " tokens before row ", row);
    }
    WindowPlan plan{first, last, window, matrix, absorbs};
    box_all(out, required_kernels(CT_OP_BIASED_WINDOW, k).biased_window(k, v, b, pk, pv, {n, d, e}, plan));
  });
}
