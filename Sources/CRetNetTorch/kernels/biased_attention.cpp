// Attention with an additive bias that depends on the distance of query and key alone, as in T5.
//
//   p_ij = softmax_j(q_i k_j + bias[j - i + Tq - 1]),   o_i = sum_j p_ij v_j        (scores are not scaled)
//
// The bias of all pairs is a slice of one row of distances for every query, so no [T, T] matrix of it ever exists and
// its gradient is summed along the way. Segments keep packed examples apart: a query attends only to keys of its own
// segment, and 0 marks padding. Causal queries are aligned to the last keys.
#include "operators.h"

namespace ctorch {
namespace {

// x [B, T, parts * H * A] -> part `index` as [B * H, T, A].
at::Tensor heads_of(const at::Tensor &x, int64_t index, int64_t parts, int64_t heads) {
  int64_t batch = x.size(0), time = x.size(1), size = x.size(2) / (parts * heads);
  return x.view({batch, time, parts, heads, size})
      .select(2, index)
      .transpose(1, 2)
      .reshape({batch * heads, time, size});
}

// The inverse of heads_of, into part `index` of `out`.
void join_heads(const at::Tensor &x, const at::Tensor &out, int64_t index, int64_t parts, int64_t heads) {
  int64_t batch = out.size(0), time = out.size(1), size = x.size(2);
  out.view({batch, time, parts, heads, size})
      .select(2, index)
      .transpose(1, 2)
      .copy_(x.view({batch, heads, time, size}));
}

struct Shape {
  int64_t heads, queries, keys;
  bool causal;
  // How many of the first keys a query may see.
  int64_t valid(int64_t query) const {
    return causal ? std::clamp<int64_t>(query + 1 + keys - queries, 0, keys) : keys;
  }
  // The keys of one query in row b.
  KeyRange range(const int32_t *query_segments, const int32_t *key_segments, int64_t b, int64_t query) const {
    int32_t segment = query_segments ? query_segments[b * queries + query] : 1;
    int64_t count = query_segments && segment == 0 ? 0 : valid(query);
    return {key_segments ? key_segments + b * keys : nullptr, segment, count};
  }
};

struct BiasedAttention : torch::autograd::Function<BiasedAttention> {
  static at::Tensor forward(AutogradContext *ctx, const at::Tensor &x, const OptionalTensor &memory,
                            const OptionalTensor &bias, const OptionalTensor &query_segments,
                            const OptionalTensor &key_segments, const OptionalTensor &keep, int64_t heads,
                            bool causal) {
    bool crossed = memory.has_value();
    auto q = heads_of(x, 0, crossed ? 1 : 3, heads);
    auto k = heads_of(crossed ? *memory : x, crossed ? 0 : 1, crossed ? 2 : 3, heads);
    auto v = heads_of(crossed ? *memory : x, crossed ? 1 : 2, crossed ? 2 : 3, heads);
    Shape shape{heads, q.size(1), k.size(1), causal};
    auto p = at::bmm(q, k.transpose(1, 2)).contiguous();
    with_element(p.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      T *scores = mutable_data<T>(p);
      const A *distances = bias ? data<A>(*bias) : nullptr;
      const int32_t *qs = query_segments ? data<int32_t>(*query_segments) : nullptr;
      const int32_t *ks = key_segments ? data<int32_t>(*key_segments) : nullptr;
      parallel_for(p.size(0) * shape.queries, row_grain(shape.keys), [&](int64_t begin, int64_t end) {
        std::vector<A> scratch(shape.keys);
        for (int64_t row = begin; row < end; row++) {
          int64_t n = row / shape.queries, i = row % shape.queries;
          const A *b = distances ? distances + n % heads * (shape.queries + shape.keys - 1) + shape.queries - 1 - i
                                 : nullptr;
          score_rows<T>().softmax(scores + row * shape.keys, b, shape.range(qs, ks, n / heads, i), shape.keys,
                                  scratch.data());
        }
      });
    });
    // A mask shared by all queries is one on values.
    bool shared = keep && keep->numel() == q.size(0) * shape.keys;
    if (shared)
      v = v * keep->reshape({q.size(0), shape.keys, 1});
    at::Tensor none;
    ctx->save_for_backward({q, k, v, p, keep ? *keep : none});
    ctx->saved_data["shared"] = shared;
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["causal"] = causal;
    ctx->saved_data["crossed"] = crossed;
    ctx->saved_data["bias"] = bias.has_value();
    auto o = at::bmm(keep && !shared ? p * keep->reshape(p.sizes()) : p, v);
    auto out = at::empty({x.size(0), shape.queries, heads * q.size(2)}, x.options());
    join_heads(o, out, 0, 1, heads);
    return out;
  }

  static variable_list backward(AutogradContext *ctx, variable_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2], &p = saved[3], &keep = saved[4];
    int64_t heads = ctx->saved_data["heads"].toInt(), batch = q.size(0) / heads;
    bool crossed = ctx->saved_data["crossed"].toBool(), biased = ctx->saved_data["bias"].toBool();
    Shape shape{heads, q.size(1), k.size(1), ctx->saved_data["causal"].toBool()};
    auto d_out = heads_of(gradients[0].contiguous(), 0, 1, heads);
    bool shared = ctx->saved_data["shared"].toBool(), dropped = keep.defined() && !shared;
    auto kept = dropped ? keep.reshape(p.sizes()) : keep;
    auto dv = at::bmm((dropped ? p * kept : p).transpose(1, 2), d_out);
    if (shared)
      dv.mul_(keep.reshape({q.size(0), shape.keys, 1}));
    auto ds = at::bmm(d_out, v.transpose(1, 2)).contiguous();
    if (dropped)
      ds.mul_(kept);
    int64_t width = shape.queries + shape.keys - 1;
    at::Tensor parts;
    if (biased)
      parts = at::zeros({q.size(0), width}, q.options().dtype(accumulator_type(q.scalar_type())));
    with_element(p.scalar_type(), [&]<class T>() {
      using A = typename Accumulator<T>::type;
      const T *probabilities = data<T>(p);
      T *d = mutable_data<T>(ds);
      A *db = mutable_data<A>(parts);
      parallel_for(q.size(0), 1, [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; n++)
          for (int64_t i = 0; i < shape.queries; i++) {
            int64_t row = (n * shape.queries + i) * shape.keys;
            score_rows<T>().softmax_backward(probabilities + row, d + row,
                                             db ? db + n * width + shape.queries - 1 - i : nullptr, shape.valid(i),
                                             shape.keys);
          }
      });
    });
    auto dq = at::bmm(ds, k), dk = at::bmm(ds.transpose(1, 2), q);
    int64_t size = q.size(2);
    at::Tensor none, dx, d_memory;
    if (crossed) {
      dx = at::empty({batch, shape.queries, heads * size}, q.options());
      d_memory = at::empty({batch, shape.keys, 2 * heads * size}, q.options());
      join_heads(dq, dx, 0, 1, heads);
      join_heads(dk, d_memory, 0, 2, heads);
      join_heads(dv, d_memory, 1, 2, heads);
    } else {
      dx = at::empty({batch, shape.queries, 3 * heads * size}, q.options());
      join_heads(dq, dx, 0, 3, heads);
      join_heads(dk, dx, 1, 3, heads);
      join_heads(dv, dx, 2, 3, heads);
    }
    auto d_bias = biased ? parts.view({batch, heads, width}).sum(0) : none;
    return {dx, d_memory, d_bias, none, none, none, none, none};
  }
};

at::Tensor attention_aten(const at::Tensor &x, const at::Tensor &memory, const at::Tensor &bias,
                          const at::Tensor &query_segments, const at::Tensor &key_segments, const at::Tensor &keep,
                          int64_t heads, bool causal) {
  bool crossed = memory.defined();
  auto q = heads_of(x, 0, crossed ? 1 : 3, heads);
  auto k = heads_of(crossed ? memory : x, crossed ? 0 : 1, crossed ? 2 : 3, heads);
  auto v = heads_of(crossed ? memory : x, crossed ? 1 : 2, crossed ? 2 : 3, heads);
  int64_t batch = x.size(0), queries = q.size(1), keys = k.size(1);
  auto type = accumulator_type(x.scalar_type());
  auto scores = at::bmm(q, k.transpose(1, 2)).to(type).reshape({batch, heads, queries, keys});
  auto position = [&](int64_t count) { return at::arange(count, x.options().dtype(at::kLong)); };
  auto distance = position(keys).unsqueeze(0) - position(queries).unsqueeze(1) + (queries - 1);
  if (bias.defined())
    scores = scores + bias.index_select(1, distance.reshape({-1})).reshape({1, heads, queries, keys});
  auto allowed = at::ones({1, 1, queries, keys}, x.options().dtype(at::kBool));
  if (causal)
    allowed = allowed.logical_and(distance <= keys - 1);
  if (query_segments.defined() || key_segments.defined()) {
    auto one = at::ones({1, 1}, x.options().dtype(at::kInt));
    auto qs = (query_segments.defined() ? query_segments : one).unsqueeze(1).unsqueeze(3);
    auto same = key_segments.defined() ? qs == key_segments.unsqueeze(1).unsqueeze(2) : qs != 0;
    allowed = allowed.logical_and(same.logical_and(qs != 0));
  }
  scores = scores.masked_fill(allowed.logical_not(), -3.0e38);
  auto p = at::softmax(scores, -1).masked_fill(allowed.logical_not(), 0).to(x.scalar_type());
  if (keep.defined())
    p = p * keep;
  auto o = at::bmm(p.reshape({batch * heads, queries, keys}), v);
  return o.reshape({batch, heads, queries, -1}).transpose(1, 2).reshape({batch, queries, -1});
}

void check_segments(const at::Tensor &segments, int64_t batch, int64_t time, const char *what) {
  TORCH_CHECK_VALUE(!segments.defined() || (segments.dim() == 2 && segments.size(0) == batch &&
                                            segments.size(1) == time && segments.scalar_type() == at::kInt),
                    "segments of ", what, " must be int32 [", batch, ", ", time, "], found ", segments.sizes());
}

at::Tensor steps(const at::Tensor &q, const at::Tensor &keys, const at::Tensor &values, const at::Tensor &bias,
                 const at::Tensor &segments, int64_t count) {
  int64_t rows = q.size(0), group = rows / keys.size(0), heads = keys.size(1), capacity = keys.size(2);
  int64_t size = keys.size(3);
  auto out = at::empty({rows, heads * size}, q.options());
  with_element(q.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    const T *query = data<T>(q), *key = data<T>(keys), *value = data<T>(values);
    const A *b = data<A>(bias);
    const int32_t *s = data<int32_t>(segments);
    T *o = mutable_data<T>(out);
    parallel_for(rows * heads, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, count * size)),
                 [&](int64_t begin, int64_t end) {
                   std::vector<A> scratch(count + size);
                   for (int64_t i = begin; i < end; i++) {
                     int64_t h = i % heads, n = i / heads / group, at = (n * heads + h) * capacity * size;
                     KeyRange range{s ? s + n * count : nullptr, 1, count};
                     score_rows<T>().attend(query + i * size, key + at, value + at, size, b ? b + h * count : nullptr,
                                            range, size, o + i * size, scratch.data());
                   }
                 });
  });
  return out;
}

at::Tensor steps_aten(const at::Tensor &q, const at::Tensor &keys, const at::Tensor &values, const at::Tensor &bias,
                      const at::Tensor &segments, int64_t count) {
  int64_t rows = q.size(0), inputs = keys.size(0), heads = keys.size(1), size = keys.size(3);
  auto type = accumulator_type(q.scalar_type());
  auto k = keys.narrow(2, 0, count).to(type).unsqueeze(1), v = values.narrow(2, 0, count).to(type).unsqueeze(1);
  auto wide = q.reshape({inputs, rows / inputs, heads, 1, size}).to(type);
  auto scores = at::matmul(wide, k.transpose(3, 4)); // [N, G, H, 1, n]
  if (bias.defined())
    scores = scores + bias.reshape({1, 1, heads, 1, count});
  if (segments.defined()) {
    auto masked = (segments != 1).reshape({inputs, 1, 1, 1, count});
    auto p = at::softmax(scores.masked_fill(masked, -3.0e38), -1).masked_fill(masked, 0);
    return at::matmul(p, v).reshape({rows, heads * size}).to(q.scalar_type());
  }
  return at::matmul(at::softmax(scores, -1), v).reshape({rows, heads * size}).to(q.scalar_type());
}

} // namespace
} // namespace ctorch

using namespace ctorch;

ct_status ct_biased_attention(ct_tensor *out, ct_tensor input, ct_tensor memory, ct_tensor bias,
                              ct_tensor query_segments, ct_tensor key_segments, ct_tensor keep, int32_t heads,
                              bool causal) {
  return guarded([&] {
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
    auto dense = [](const at::Tensor &t) { return t.defined() ? t.contiguous() : t; };
    if (has_row_kernels(x))
      *out = box(BiasedAttention::apply(x, given(m), given(b), given(dense(qs)), given(dense(ks)), given(dense(mask)),
                                        heads, causal));
    else
      *out = box(attention_aten(x, m, b, qs, ks, mask, heads, causal));
  });
}

ct_status ct_biased_attention_step(ct_tensor *out, ct_tensor query, ct_tensor keys, ct_tensor values, ct_tensor bias,
                                   ct_tensor key_segments, int64_t count) {
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
    if (s.defined())
      s = s.contiguous();
    *out = box(has_row_kernels(q) ? steps(q, k, v, b, s, count) : steps_aten(q, k, v, b, s, count));
  });
}
