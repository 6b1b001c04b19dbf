// Attention with an additive bias that depends on the distance of query and key alone, as in T5, for processors.
//
//   p_ij = softmax_j(q_i k_j + bias[j - i + Tq - 1]),   o_i = sum_j p_ij v_j        (scores are not scaled)
//
// The bias of all pairs is a slice of one row of distances for every query, so no [T, T] matrix of it ever exists and
// its gradient is summed along the way. Segments keep packed examples apart: a query attends only to keys of its own
// segment, and 0 marks padding. Causal queries are aligned to the last keys.
#include "operators.h"

namespace ctorch::cpu {
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
  // Number of first keys that a query may see.
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

Pass attend(const DistanceAttention &arguments) {
  const auto &[x, memory, bias, query_segments, key_segments, keep, heads, causal] = arguments;
  bool crossed = memory.defined();
  auto q = heads_of(x, 0, crossed ? 1 : 3, heads);
  auto k = heads_of(crossed ? memory : x, crossed ? 0 : 1, crossed ? 2 : 3, heads);
  auto v = heads_of(crossed ? memory : x, crossed ? 1 : 2, crossed ? 2 : 3, heads);
  Shape shape{heads, q.size(1), k.size(1), causal};
  auto p = q.bmm(k.transpose(1, 2)).contiguous();
  with_element(p.scalar_type(), [&]<class T>() {
    using A = typename Accumulator<T>::type;
    T *scores = mutable_data<T>(p);
    const A *distances = data<A>(bias);
    const int32_t *qs = data<int32_t>(query_segments);
    const int32_t *ks = data<int32_t>(key_segments);
    parallel_for(p.size(0) * shape.queries, row_grain(shape.keys), [&](int64_t begin, int64_t end) {
      std::vector<A> scratch(shape.keys);
      for (int64_t row = begin; row < end; row++) {
        int64_t n = row / shape.queries, i = row % shape.queries;
        const A *b =
            distances ? distances + n % heads * (shape.queries + shape.keys - 1) + shape.queries - 1 - i : nullptr;
        score_rows<T>().softmax(scores + row * shape.keys, b, shape.range(qs, ks, n / heads, i), shape.keys,
                                scratch.data());
      }
    });
  });
  // A mask shared by all queries is one on values.
  bool shared = keep.defined() && keep.numel() == q.size(0) * shape.keys;
  if (shared)
    v = v * keep.reshape({q.size(0), shape.keys, 1});
  auto o = (keep.defined() && !shared ? p * keep.reshape(p.sizes()) : p).bmm(v);
  auto out = make::empty({x.size(0), shape.queries, heads * q.size(2)}, x.options());
  join_heads(o, out, 0, 1, heads);
  return {{out}, {q, k, v, p, keep}};
}

variable_list attend_backward(const variable_list &saved, variable_list &gradients, int64_t heads, bool causal,
                              bool crossed, bool biased) {
  const auto &q = saved[0], &k = saved[1], &v = saved[2], &p = saved[3], &keep = saved[4];
  int64_t batch = q.size(0) / heads;
  Shape shape{heads, q.size(1), k.size(1), causal};
  auto d_out = heads_of(gradients[0].contiguous(), 0, 1, heads);
  bool shared = keep.defined() && keep.numel() == q.size(0) * shape.keys, dropped = keep.defined() && !shared;
  auto kept = dropped ? keep.reshape(p.sizes()) : keep;
  auto dv = (dropped ? p * kept : p).transpose(1, 2).bmm(d_out);
  if (shared)
    dv.mul_(keep.reshape({q.size(0), shape.keys, 1}));
  auto ds = d_out.bmm(v.transpose(1, 2)).contiguous();
  if (dropped)
    ds.mul_(kept);
  int64_t width = shape.queries + shape.keys - 1;
  at::Tensor parts;
  if (biased)
    parts = make::zeros({q.size(0), width}, q.options().dtype(accumulator_type(q.scalar_type())));
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
  auto dq = ds.bmm(k), dk = ds.transpose(1, 2).bmm(q);
  int64_t size = q.size(2);
  at::Tensor none, dx, d_memory;
  if (crossed) {
    dx = make::empty({batch, shape.queries, heads * size}, q.options());
    d_memory = make::empty({batch, shape.keys, 2 * heads * size}, q.options());
    join_heads(dq, dx, 0, 1, heads);
    join_heads(dk, d_memory, 0, 2, heads);
    join_heads(dv, d_memory, 1, 2, heads);
  } else {
    dx = make::empty({batch, shape.queries, 3 * heads * size}, q.options());
    join_heads(dq, dx, 0, 3, heads);
    join_heads(dk, dx, 1, 3, heads);
    join_heads(dv, dx, 2, 3, heads);
  }
  auto d_bias = biased ? parts.view({batch, heads, width}).sum(0) : none;
  return {dx, d_memory, d_bias};
}

} // namespace

at::Tensor distance_attention(const DistanceAttention &a) {
  bool crossed = a.memory.defined(), biased = a.bias.defined();
  auto backward = [heads = a.heads, causal = a.causal, crossed, biased](const variable_list &saved,
                                                                        variable_list &gradients) {
    return attend_backward(saved, gradients, heads, causal, crossed, biased);
  };
  return record({a.x, a.memory, a.bias}, [&] { return attend(a); }, backward)[0];
}

at::Tensor distance_attention_step(const at::Tensor &q, const at::Tensor &keys, const at::Tensor &values,
                                   const at::Tensor &bias, const at::Tensor &segments, int64_t count) {
  int64_t rows = q.size(0), group = rows / keys.size(0), heads = keys.size(1), capacity = keys.size(2);
  int64_t size = keys.size(3);
  auto out = make::empty({rows, heads * size}, q.options());
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

} // namespace ctorch::cpu
