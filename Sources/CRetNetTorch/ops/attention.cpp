// Causal attention with a cached past, and attention with a bias of distances (T5): checks, and chains of ATen
// operators for devices without kernels.
#include "../library/profile.h"
#include "table.h"

#include <ATen/ops/scaled_dot_product_attention.h>

namespace ctorch {
namespace {

// ---- Causal attention ----

void check_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                     const std::vector<int64_t> &past) {
  TORCH_CHECK_VALUE(q.dim() == 4 && k.dim() == 4 && v.dim() == 4 && k.size(0) == q.size(0) &&
                        v.size(0) == q.size(0) && k.size(1) == v.size(1) && k.size(2) == v.size(2) &&
                        k.size(3) == q.size(3) && k.size(1) > 0 && q.size(1) % k.size(1) == 0,
                    "queries ", q.sizes(), ", keys ", k.sizes(), " and values ", v.sizes(), " do not fit");
  TORCH_CHECK_TYPE(q.scalar_type() == k.scalar_type() && q.scalar_type() == v.scalar_type(),
                   "queries, keys and values must have one element type");
  TORCH_CHECK_VALUE(q.size(2) >= 1, "attention needs at least one position");
  TORCH_CHECK_VALUE(past.size() == 1 || static_cast<int64_t>(past.size()) == q.size(0), "there are ", q.size(0),
                    " rows but ", past.size(), " lengths of pasts");
  for (int64_t length : past)
    TORCH_CHECK_VALUE(length >= 0 && length <= k.size(2) - q.size(2), "a past of ", length, " and ", q.size(2),
                      " queries do not fit ", k.size(2), " keys");
}

// LibTorch's own attention, with a mask where rows have a past.
at::Tensor attend(const at::Tensor &q, at::Tensor k, at::Tensor v, const std::vector<int64_t> &past, double scale) {
  int64_t group = q.size(1) / k.size(1);
  if (group > 1) {
    k = k.repeat_interleave(group, 1);
    v = v.repeat_interleave(group, 1);
  }
  bool whole = k.size(2) == q.size(2);
  std::optional<at::Tensor> mask;
  if (!whole) {
    auto options = at::TensorOptions().dtype(at::kLong).device(q.device());
    auto first = make::vector(past).to(q.device()).reshape({-1, 1, 1, 1});
    auto position = first + make::range(q.size(2), options).reshape({1, 1, -1, 1});
    mask = make::range(k.size(2), options).reshape({1, 1, 1, -1}).le(position);
  }
  return at::scaled_dot_product_attention(q, k, v, mask, 0, whole, scale);
}

// ---- Attention with a bias of distances ----

// x [B, T, parts * H * A] -> part `index` as [B * H, T, A].
at::Tensor heads_of(const at::Tensor &x, int64_t index, int64_t parts, int64_t heads) {
  int64_t batch = x.size(0), time = x.size(1), size = x.size(2) / (parts * heads);
  return x.view({batch, time, parts, heads, size})
      .select(2, index)
      .transpose(1, 2)
      .reshape({batch * heads, time, size});
}

at::Tensor attend_distances(const DistanceAttention &arguments) {
  const auto &[x, memory, bias, query_segments, key_segments, keep, heads, causal] = arguments;
  bool crossed = memory.defined();
  auto q = heads_of(x, 0, crossed ? 1 : 3, heads);
  auto k = heads_of(crossed ? memory : x, crossed ? 0 : 1, crossed ? 2 : 3, heads);
  auto v = heads_of(crossed ? memory : x, crossed ? 1 : 2, crossed ? 2 : 3, heads);
  int64_t batch = x.size(0), queries = q.size(1), keys = k.size(1);
  auto type = accumulator_type(x.scalar_type());
  auto scores = q.bmm(k.transpose(1, 2)).to(type).reshape({batch, heads, queries, keys});
  auto indices = x.options().dtype(at::kLong);
  auto distance =
      make::range(keys, indices).unsqueeze(0) - make::range(queries, indices).unsqueeze(1) + (queries - 1);
  if (bias.defined())
    scores = scores + bias.index_select(1, distance.reshape({-1})).reshape({1, heads, queries, keys});
  auto allowed = make::full({1, 1, queries, keys}, 1, x.options().dtype(at::kBool));
  if (causal)
    allowed = allowed.logical_and(distance.le(keys - 1));
  if (query_segments.defined() || key_segments.defined()) {
    auto one = make::full({1, 1}, 1, x.options().dtype(at::kInt));
    auto qs = (query_segments.defined() ? query_segments : one).unsqueeze(1).unsqueeze(3);
    auto same = key_segments.defined() ? qs.eq(key_segments.unsqueeze(1).unsqueeze(2)) : qs.ne(0);
    allowed = allowed.logical_and(same.logical_and(qs.ne(0)));
  }
  scores = scores.masked_fill(allowed.logical_not(), -3.0e38);
  auto p = scores.softmax(-1).masked_fill(allowed.logical_not(), 0).to(x.scalar_type());
  if (keep.defined())
    p = p * keep;
  auto o = p.reshape({batch * heads, queries, keys}).bmm(v);
  return o.reshape({batch, heads, queries, -1}).transpose(1, 2).reshape({batch, queries, -1});
}

void check_segments(const at::Tensor &segments, int64_t batch, int64_t time, const char *what) {
  TORCH_CHECK_VALUE(!segments.defined() || (segments.dim() == 2 && segments.size(0) == batch &&
                                            segments.size(1) == time && segments.scalar_type() == at::kInt),
                    "segments of ", what, " must be int32 [", batch, ", ", time, "], found ", segments.sizes());
}

at::Tensor attend_distances_step(const at::Tensor &q, const at::Tensor &keys, const at::Tensor &values,
                                 const at::Tensor &bias, const at::Tensor &segments, int64_t count) {
  int64_t rows = q.size(0), inputs = keys.size(0), heads = keys.size(1), size = keys.size(3);
  auto type = accumulator_type(q.scalar_type());
  auto k = keys.narrow(2, 0, count).to(type).unsqueeze(1), v = values.narrow(2, 0, count).to(type).unsqueeze(1);
  auto wide = q.reshape({inputs, rows / inputs, heads, 1, size}).to(type);
  auto scores = wide.matmul(k.transpose(3, 4)); // [N, G, H, 1, n]
  if (bias.defined())
    scores = scores + bias.reshape({1, 1, heads, 1, count});
  if (segments.defined()) {
    auto masked = segments.ne(1).reshape({inputs, 1, 1, 1, count});
    auto p = scores.masked_fill(masked, -3.0e38).softmax(-1).masked_fill(masked, 0);
    return p.matmul(v).reshape({rows, heads * size}).to(q.scalar_type());
  }
  return scores.softmax(-1).matmul(v).reshape({rows, heads * size}).to(q.scalar_type());
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_attention(ct_tensor *out, ct_tensor query, ct_tensor key, ct_tensor value, const int64_t *past,
                       int32_t rows, double scale, int64_t tile) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto q = query->value, k = key->value, v = value->value;
    std::vector<int64_t> lengths(past, past + rows);
    check_attention(q, k, v, lengths);
    TORCH_CHECK_VALUE(tile >= 1, "the tile length must be at least 1, found ", tile);
    TORCH_CHECK_VALUE(scale > 0, "the scale of scores must be positive, found ", scale);
    auto type = widen_operands(q, k, v);
    auto kernels = kernels_for(CT_OP_ATTENTION, q);
    *out = box(
        (kernels ? kernels->attention(q, k, v, lengths, scale, tile) : attend(q, k, v, lengths, scale)).to(type));
  });
}

ct_status ct_attention_steps(ct_tensor *out, ct_tensor query, ct_tensor key, ct_tensor value, const int64_t *past,
                             int32_t rows, double scale) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto &q = query->value, &k = key->value, &v = value->value;
    std::vector<int64_t> lengths(past, past + rows);
    check_attention(q, k, v, lengths);
    TORCH_CHECK_VALUE(scale > 0, "the scale of scores must be positive, found ", scale);
    auto kernels = kernels_for(CT_OP_ATTENTION, q);
    *out = box(kernels ? kernels->attention_steps(q, k, v, lengths, scale) : attend(q, k, v, lengths, scale));
  });
}

ct_status ct_distance_attention(ct_tensor *out, ct_tensor input, ct_tensor memory, ct_tensor bias,
                                ct_tensor query_segments, ct_tensor key_segments, ct_tensor keep, int32_t heads,
                                bool causal) {
  return guarded([&] {
    profile::Scope scope(CT_PART_CORE);
    auto x = input->value.contiguous(), m = maybe(memory), b = maybe(bias), qs = maybe(query_segments),
         ks = maybe(key_segments), mask = maybe(keep);
    TORCH_CHECK_VALUE(heads > 0 && x.dim() == 3 && x.size(2) % ((m.defined() ? 1 : 3) * heads) == 0 && x.size(1) > 0,
                      "projections ", x.sizes(), " do not hold ", heads, " heads");
    if (m.defined()) {
      m = m.contiguous();
      TORCH_CHECK_VALUE(m.dim() == 3 && m.size(0) == x.size(0) && m.size(1) > 0 && m.size(2) == 2 * x.size(2) &&
                            m.scalar_type() == x.scalar_type(),
                        "keys and values ", m.sizes(), " do not fit queries ", x.sizes());
    }
    int64_t queries = x.size(1), keys = m.defined() ? m.size(1) : queries;
    if (b.defined()) {
      b = b.to(accumulator_type(x.scalar_type())).contiguous();
      TORCH_CHECK_VALUE(b.dim() == 2 && b.size(0) == heads && b.size(1) == queries + keys - 1,
                        "the bias of distances must be [", heads, ", ", queries + keys - 1, "], found ", b.sizes());
    }
    check_segments(qs, x.size(0), queries, "queries");
    check_segments(ks, x.size(0), keys, "keys");
    TORCH_CHECK_VALUE(!mask.defined() || (mask.dim() == 4 && mask.size(0) == x.size(0) && mask.size(1) == heads &&
                                          (mask.size(2) == queries || mask.size(2) == 1) && mask.size(3) == keys &&
                                          mask.scalar_type() == x.scalar_type()),
                      "the dropout mask ", mask.sizes(), " does not fit");
    auto type = widen_operands(x, m, mask);
    DistanceAttention arguments{x, m, b, contiguous(qs), contiguous(ks), contiguous(mask), heads, causal};
    auto kernels = kernels_for(CT_OP_DISTANCE_ATTENTION, x);
    *out = box((kernels ? kernels->distance_attention(arguments) : attend_distances(arguments)).to(type));
  });
}

ct_status ct_distance_attention_step(ct_tensor *out, ct_tensor query, ct_tensor keys, ct_tensor values,
                                     ct_tensor bias, ct_tensor key_segments, int64_t count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto q = query->value.contiguous(), b = maybe(bias), s = maybe(key_segments);
    const auto &k = keys->value, &v = values->value;
    TORCH_CHECK_VALUE(k.dim() == 4 && v.sizes() == k.sizes() && k.size(0) > 0 && count >= 1 && count <= k.size(2) &&
                          k.is_contiguous() && v.is_contiguous(),
                      "keys ", k.sizes(), " and values ", v.sizes(), " do not hold ", count, " positions");
    TORCH_CHECK_VALUE(q.dim() == 2 && q.size(0) % k.size(0) == 0 && q.size(1) == k.size(1) * k.size(3) &&
                          k.scalar_type() == q.scalar_type() && v.scalar_type() == q.scalar_type(),
                      "queries ", q.sizes(), " do not fit keys ", k.sizes());
    if (b.defined()) {
      b = b.to(accumulator_type(q.scalar_type())).contiguous();
      TORCH_CHECK_VALUE(b.numel() == k.size(1) * count, "the bias ", b.sizes(), " does not fit ", count, " keys");
    }
    check_segments(s, k.size(0), count, "keys");
    s = contiguous(s);
    auto kernels = kernels_for(CT_OP_DISTANCE_ATTENTION, q);
    *out = box(kernels ? kernels->distance_attention_step(q, k, v, b, s, count)
                       : attend_distances_step(q, k, v, b, s, count));
  });
}
