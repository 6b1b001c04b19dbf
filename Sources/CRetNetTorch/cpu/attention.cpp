// Causal attention with a cached past in memory O(T d), its hand-written gradients, and single queries, for
// processors.
//
// Query t of row b sees the keys 0 ... past[b] + t. h query heads share h_kv <= h heads of keys and values: query
// head j reads head floor(j h_kv / h), so nothing is repeated. Statistics and sums are float32 (float64 for
// float64 inputs). The formulas are in the kernels' attention_tiles.inc.
#include "../library/profile.h"
#include "operators.h"

#include <cmath>

namespace ctorch::cpu {
namespace {

struct Sizes {
  int64_t batch, heads, groups, queries, keys, key_size, value_size;

  Sizes(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v)
      : batch(q.size(0)), heads(q.size(1)), groups(k.size(1)), queries(q.size(2)), keys(k.size(2)),
        key_size(q.size(3)), value_size(v.size(3)) {}
  int64_t group() const { return heads / groups; }
};

int64_t past_of(const std::vector<int64_t> &past, int64_t row) { return past[past.size() == 1 ? 0 : row]; }

// Rows of a tensor must be without gaps; everything else may be strided.
at::Tensor dense_rows(const at::Tensor &x) { return x.stride(3) == 1 ? x : x.contiguous(); }

template <class T> Rows<const T> head_rows(const at::Tensor &x, int64_t row, int64_t head) {
  return {data<T>(x) + row * x.stride(0) + head * x.stride(1), x.stride(2)};
}
template <class T> Rows<T> mutable_head_rows(const at::Tensor &x, int64_t row, int64_t head) {
  return {mutable_data<T>(x) + row * x.stride(0) + head * x.stride(1), x.stride(2)};
}

// [B, X, T, S] whose memory is [B, T, X, S], the order of the projections next to attention.
at::Tensor heads_like(const at::Tensor &x, int64_t count, int64_t time, int64_t size) {
  return make::empty({x.size(0), time, count, size}, x.options()).transpose(1, 2);
}

// Keys or values of all heads in the layout of one operand; undefined where the tensor itself serves.
template <class T> struct Packed {
  at::Tensor storage;
  int64_t head_bytes = 0, groups = 0;

  Packed() = default;
  Packed(const at::Tensor &x, const std::vector<int64_t> &past, int64_t queries, bool pairs) : groups(x.size(1)) {
    const auto &kernels = attention_kernels<T>();
    int64_t size = x.size(3), rows = (x.size(2) + 1) / 2 * 2;
    int64_t width = pairs ? padded(size) : kernels.row_elements(size);
    if (!pairs && !kernels.needs_rows(size))
      return;
    head_bytes = (rows * width * kernels.element_size + 63) / 64 * 64;
    storage = make::empty({x.size(0) * groups * head_bytes}, x.options().dtype(at::kByte));
    constexpr int64_t part = 256;
    int64_t parts = (x.size(2) + part - 1) / part;
    parallel_for(x.size(0) * groups * parts, row_grain(part * size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t row = i / (groups * parts), head = i / parts % groups, first = i % parts * part;
        int64_t last = std::min(first + part, past_of(past, row) + queries);
        if (first < last)
          (pairs ? kernels.pack_pairs : kernels.pack_rows)(head_rows<T>(x, row, head), size, first, last,
                                                           const_cast<void *>(at(row, head)));
      }
    });
  }
  const void *at(int64_t row, int64_t head) const {
    return storage.defined() ? static_cast<char *>(storage.mutable_data_ptr()) + (row * groups + head) * head_bytes
                             : nullptr;
  }
};

// Work space of a thread, aligned to cache lines.
struct Scratch {
  std::vector<char> bytes;
  explicit Scratch(int64_t size) : bytes(static_cast<size_t>(size) + 64) {}
  void *get() {
    auto address = reinterpret_cast<uintptr_t>(bytes.data());
    return reinterpret_cast<void *>((address + 63) / 64 * 64);
  }
};

template <class T>
AttentionJob<T> job_of(const Sizes &sizes, const std::vector<int64_t> &past, const at::Tensor &q, const at::Tensor &k,
                       const at::Tensor &v, double scale, int64_t tile, int64_t row, int64_t head) {
  AttentionJob<T> job{};
  int64_t source = head / sizes.group();
  job.query = head_rows<T>(q, row, head);
  job.key = head_rows<T>(k, row, source);
  job.value = head_rows<T>(v, row, source);
  job.queries = sizes.queries;
  job.past = past_of(past, row);
  job.key_size = sizes.key_size;
  job.value_size = sizes.value_size;
  job.tile = std::min<int64_t>((tile + 1) / 2 * 2, kMaximumKeyTile);
  job.scale = static_cast<typename Accumulator<T>::type>(scale);
  return job;
}

int64_t query_tiles(int64_t queries) { return (queries + kQueryTile - 1) / kQueryTile; }

template <class T>
void attend_forward(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const std::vector<int64_t> &past,
                    double scale, int64_t tile, at::Tensor &out, at::Tensor &log_sum) {
  using A = typename Accumulator<T>::type;
  Sizes sizes(q, k, v);
  const auto &kernels = attention_kernels<T>();
  Packed<T> key_rows(k, past, sizes.queries, false), value_pairs(v, past, sizes.queries, true);
  A *sums = mutable_data<A>(log_sum);
  int64_t tiles = query_tiles(sizes.queries);
  parallel_for(sizes.batch * sizes.heads * tiles, 1, [&](int64_t begin, int64_t end) {
    Scratch scratch(kernels.forward_scratch(job_of<T>(sizes, past, q, k, v, scale, tile, 0, 0)));
    for (int64_t i = begin; i < end; i++) {
      int64_t head = i / tiles, t = i % tiles, row = head / sizes.heads, h = head % sizes.heads;
      // Long and short tiles alternate, so that every thread gets as much of both.
      int64_t number = t % 2 == 0 ? t / 2 : tiles - 1 - t / 2;
      auto job = job_of<T>(sizes, past, q, k, v, scale, tile, row, h);
      job.key_rows = key_rows.at(row, h / sizes.group());
      job.value_pairs = value_pairs.at(row, h / sizes.group());
      job.out = mutable_head_rows<T>(out, row, h);
      job.log_sum = sums ? sums + head * sizes.queries : nullptr;
      kernels.forward(job, number * kQueryTile, scratch.get());
    }
  });
}

struct Gradients {
  at::Tensor query, key, value;
};

template <class T>
Gradients attend_backward(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &out,
                          const at::Tensor &log_sum, const at::Tensor &d_out, const std::vector<int64_t> &past,
                          double scale, int64_t tile) {
  using A = typename Accumulator<T>::type;
  Sizes sizes(q, k, v);
  const auto &kernels = attention_kernels<T>();
  Packed<T> key_rows(k, past, sizes.queries, false), value_rows(v, past, sizes.queries, false);
  Packed<T> key_pairs(k, past, sizes.queries, true);
  Gradients result{heads_like(q, sizes.heads, sizes.queries, sizes.key_size),
                   heads_like(k, sizes.groups, sizes.keys, sizes.key_size),
                   heads_like(v, sizes.groups, sizes.keys, sizes.value_size)};
  const A *sums = data<A>(log_sum);
  int64_t tiles = query_tiles(sizes.queries), units = sizes.batch * sizes.groups;
  int64_t key_width = padded(sizes.key_size), value_width = padded(sizes.value_size), keys = sizes.keys;
  // Heads of keys are independent. Where there are fewer than threads, each is cut into slices of queries with
  // sums of their own.
  int64_t slices = units >= thread_count() ? 1 : (thread_count() + units - 1) / units;
  slices = std::min(slices, sizes.group() * tiles);
  at::Tensor partial;
  if (slices > 1)
    partial = make::empty({units * slices, keys * (key_width + value_width)},
                          q.options().dtype(accumulator_type(q.scalar_type())));
  auto store_rows = [&](const A *from, int64_t width, int64_t size, double factor, Rows<T> to, int64_t first,
                        int64_t last) {
    for (int64_t i = first; i < last; i++)
      row_kernels<T>().store(from + i * width, A(factor), to.data + i * to.stride, size);
  };
  parallel_for(units * slices, 1, [&](int64_t begin, int64_t end) {
    Scratch scratch(kernels.backward_scratch(job_of<T>(sizes, past, q, k, v, scale, tile, 0, 0)));
    std::vector<A> own(slices > 1 ? 0 : static_cast<size_t>(keys * (key_width + value_width)));
    for (int64_t i = begin; i < end; i++) {
      int64_t unit = i / slices, slice = i % slices, row = unit / sizes.groups, source = unit % sizes.groups;
      A *d_key = slices > 1 ? mutable_data<A>(partial) + i * keys * (key_width + value_width) : own.data();
      A *d_value = d_key + keys * key_width;
      std::fill(d_key, d_key + keys * (key_width + value_width), A(0));
      for (int64_t number = slice; number < sizes.group() * tiles; number += slices) {
        int64_t h = source * sizes.group() + number / tiles, head = row * sizes.heads + h;
        auto job = job_of<T>(sizes, past, q, k, v, scale, tile, row, h);
        job.key_rows = key_rows.at(row, source);
        job.value_rows = value_rows.at(row, source);
        job.key_pairs = key_pairs.at(row, source);
        job.log_sum = const_cast<A *>(sums) + head * sizes.queries;
        job.output = head_rows<T>(out, row, h);
        job.out_gradient = head_rows<T>(d_out, row, h);
        job.query_gradient = mutable_head_rows<T>(result.query, row, h);
        job.key_gradient = d_key;
        job.value_gradient = d_value;
        kernels.backward(job, number % tiles * kQueryTile, scratch.get());
      }
      if (slices == 1) {
        store_rows(d_key, key_width, sizes.key_size, scale, mutable_head_rows<T>(result.key, row, source), 0, keys);
        store_rows(d_value, value_width, sizes.value_size, 1, mutable_head_rows<T>(result.value, row, source), 0,
                   keys);
      }
    }
  });
  if (slices > 1) {
    A *base = mutable_data<A>(partial);
    int64_t block = keys * (key_width + value_width);
    constexpr int64_t part = 64;
    int64_t parts = (keys + part - 1) / part;
    parallel_for(units * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        int64_t unit = i / parts, first = i % parts * part, last = std::min(first + part, keys);
        int64_t row = unit / sizes.groups, source = unit % sizes.groups;
        A *d_key = base + unit * slices * block, *d_value = d_key + keys * key_width;
        for (int64_t s = 1; s < slices; s++) {
          for (int64_t j = first * key_width; j < last * key_width; j++)
            d_key[j] += d_key[s * block + j];
          for (int64_t j = first * value_width; j < last * value_width; j++)
            d_value[j] += d_value[s * block + j];
        }
        store_rows(d_key, key_width, sizes.key_size, scale, mutable_head_rows<T>(result.key, row, source), first,
                   last);
        store_rows(d_value, value_width, sizes.value_size, 1, mutable_head_rows<T>(result.value, row, source), first,
                   last);
      }
    });
  }
  return result;
}

// Every query by itself, over parts of the keys where there are fewer heads than threads.
template <class T>
void attend_steps(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const std::vector<int64_t> &past,
                  double scale, at::Tensor &out) {
  using A = typename Accumulator<T>::type;
  Sizes sizes(q, k, v);
  const auto &kernels = attention_kernels<T>();
  int64_t units = sizes.batch * sizes.groups * sizes.queries, group = sizes.group(), width = sizes.value_size + 2;
  int64_t longest = *std::max_element(past.begin(), past.end()) + sizes.queries;
  int64_t slices = std::max<int64_t>(1, std::min(thread_count() / units, longest / 256));
  std::vector<A> sums(static_cast<size_t>(units * slices * group * width));
  parallel_for(units * slices, row_grain(longest * sizes.key_size * group / slices), [&](int64_t begin, int64_t end) {
    std::vector<A> scratch(static_cast<size_t>(group * (kStepTile + sizes.key_size)));
    for (int64_t i = begin; i < end; i++) {
      int64_t unit = i / slices, slice = i % slices, t = unit % sizes.queries;
      int64_t source = unit / sizes.queries % sizes.groups, row = unit / sizes.queries / sizes.groups;
      int64_t seen = past_of(past, row) + t + 1;
      auto queries = head_rows<T>(q, row, source * group);
      kernels.step(queries.data + t * queries.stride, q.stride(1), group, head_rows<T>(k, row, source),
                   head_rows<T>(v, row, source), seen * slice / slices, seen * (slice + 1) / slices, sizes.key_size,
                   sizes.value_size, A(scale), sums.data() + i * group * width, scratch.data());
    }
  });
  for (int64_t unit = 0; unit < units; unit++) {
    int64_t t = unit % sizes.queries, source = unit / sizes.queries % sizes.groups;
    int64_t row = unit / sizes.queries / sizes.groups;
    for (int64_t g = 0; g < group; g++) {
      A *first = sums.data() + (unit * slices * group + g) * width;
      A top = first[sizes.value_size];
      for (int64_t s = 1; s < slices; s++)
        top = std::max(top, first[s * group * width + sizes.value_size]);
      for (int64_t s = 0; s < slices; s++) {
        A *part = first + s * group * width;
        A factor = std::exp2(part[sizes.value_size] - top);
        for (int64_t j = 0; j < width; j++)
          if (j != sizes.value_size)
            first[j] = (s == 0 ? A(0) : first[j]) + factor * part[j];
      }
      auto to = mutable_head_rows<T>(out, row, source * group + g);
      row_kernels<T>().store(first, A(1) / first[sizes.value_size + 1], to.data + t * to.stride, sizes.value_size);
    }
  }
}

// Notes the products below the diagonal, none of them twice.
void note_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, bool backward) {
  if (!profile::is_on())
    return;
  Sizes s(q, k, v);
  int64_t units = s.batch * s.heads, keys = s.keys - s.queries / 2; // of a query on average
  auto note = [&](int64_t rows, int64_t columns, int64_t depth, bool left, bool right) {
    profile::note_products(keys > 0, units, rows, columns, depth, left, right, q.scalar_type());
  };
  if (!backward) {
    note(s.queries, keys, s.key_size, false, true);
    note(s.queries, s.value_size, keys, false, false);
  } else {
    note(s.queries, keys, s.value_size, false, true);
    note(keys, s.value_size, s.queries, true, false);
    note(s.queries, s.key_size, keys, false, false);
    note(keys, s.key_size, s.queries, true, false);
  }
}

} // namespace

at::Tensor attention(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                     const std::vector<int64_t> &past, double scale, int64_t tile) {
  bool records =
      at::GradMode::is_enabled() && (query.requires_grad() || key.requires_grad() || value.requires_grad());
  auto forward = [&]() -> Pass {
    auto q = dense_rows(query), k = dense_rows(key), v = dense_rows(value);
    note_attention(q, k, v, false);
    auto out = heads_like(q, q.size(1), q.size(2), v.size(3));
    at::Tensor log_sum;
    if (records)
      log_sum = make::empty({q.size(0), q.size(1), q.size(2)}, q.options().dtype(accumulator_type(q.scalar_type())));
    with_element(q.scalar_type(), [&]<class T>() { attend_forward<T>(q, k, v, past, scale, tile, out, log_sum); });
    return {{out}, records ? variable_list{q, k, v, out, log_sum} : variable_list{}};
  };
  auto backward = [=](const variable_list &saved, variable_list &gradients) -> variable_list {
    const auto &q = saved[0], &k = saved[1], &v = saved[2], &out = saved[3], &log_sum = saved[4];
    auto d_out = dense_rows(gradients[0].to(q.scalar_type()));
    Gradients result;
    note_attention(q, k, v, true);
    with_element(q.scalar_type(),
                 [&]<class T>() { result = attend_backward<T>(q, k, v, out, log_sum, d_out, past, scale, tile); });
    return {result.query, result.key, result.value};
  };
  return record({query, key, value}, forward, backward)[0];
}

at::Tensor attention_steps(const at::Tensor &query, const at::Tensor &key, const at::Tensor &value,
                           const std::vector<int64_t> &past, double scale) {
  auto q = dense_rows(query), k = dense_rows(key), v = dense_rows(value);
  auto result = heads_like(q, q.size(1), q.size(2), v.size(3));
  with_element(q.scalar_type(), [&]<class T>() { attend_steps<T>(q, k, v, past, scale, result); });
  return result;
}

} // namespace ctorch::cpu
