// Tiles of causal attention.
#pragma once

#include <RetNetKernels/elements.h>

namespace retnet {

// Queries of one tile; they lie along the lanes of vectors.
constexpr int64_t kQueryTile = 64;
// Keys of a tile at most, which bounds the work space.
constexpr int64_t kMaximumKeyTile = 512;
// Rows of one head: row i starts at data + i * stride.
template <class T> struct Rows {
  T *data;
  int64_t stride;
};

// One head of queries over one head of keys and values. Query t sees the keys 0 ... past + t.
template <class T> struct AttentionJob {
  using Acc = typename Accumulator<T>::type;

  Rows<const T> query, key, value;
  // The same keys and values packed by `pack_rows` (NULL where it is not needed) and `pack_pairs`.
  const void *key_rows, *value_rows;
  const void *key_pairs, *value_pairs;
  int64_t queries, past, key_size, value_size;
  int64_t tile; // keys of a tile, even
  Acc scale;

  // Forward: the result, and the logarithm (of base 2) of every query's sum of exponentials.
  Rows<T> out;
  Acc *log_sum;

  // Backward: dQ is stored; dK and dV (rows of padded width) are added to, and still lack the scale.
  Rows<const T> output, out_gradient;
  Rows<T> query_gradient;
  Acc *key_gradient, *value_gradient;
};

template <class T> struct AttentionKernels {
  using Acc = typename Accumulator<T>::type;

  int64_t element_size;                 // bytes of an element of packed operands
  bool (*needs_rows)(int64_t size);     // true if rows of this width must be packed by `pack_rows`
  int64_t (*row_elements)(int64_t size); // the width of rows packed by `pack_rows`

  // Rows [begin, end) of the source; `begin` is even.
  void (*pack_rows)(Rows<const T> source, int64_t size, int64_t begin, int64_t end, void *packed);
  void (*pack_pairs)(Rows<const T> source, int64_t size, int64_t begin, int64_t end, void *packed);

  // The tile of queries that starts at `first`. `scratch` is aligned to 64 bytes.
  int64_t (*forward_scratch)(const AttentionJob<T> &job);
  void (*forward)(const AttentionJob<T> &job, int64_t first, void *scratch);
  int64_t (*backward_scratch)(const AttentionJob<T> &job);
  void (*backward)(const AttentionJob<T> &job, int64_t first, void *scratch);

  // One query of `group` heads over the keys [begin, end): sums[g] = sum of e^(s - m) v, with m and the sum of
  // e^(s - m) behind them: sums [group][value_size + 2]. Queries and results are `query_stride` elements apart.
  void (*step)(const T *query, int64_t query_stride, int64_t group, Rows<const T> key, Rows<const T> value,
               int64_t begin, int64_t end, int64_t key_size, int64_t value_size, Acc scale, Acc *sums,
               Acc *scratch);
};

// Keys that `step` scores at once; its scratch has group * (kStepTile + key_size) elements.
constexpr int64_t kStepTile = 64;

} // namespace retnet
