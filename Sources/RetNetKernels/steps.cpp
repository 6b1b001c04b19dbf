// The C interface of the operations between products: how they are shared out among threads.
#include "include/RetNetKernels/steps.h"

#include "workers.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

using namespace retnet;

namespace {

const DecodingKernels &decoding(const rn_pool *pool) { return (pool ? pool->table : kernels()).decoding; }

// Rows of `size` elements that are worth a part of their own.
int64_t rows_of_a_part(int64_t size) { return std::max<int64_t>(1, 8192 / std::max<int64_t>(size, 1)); }

// Bytes of a state that are worth a part of their own, and columns that keep the lines of memory whole.
constexpr int64_t kStateBytes = 1 << 14;
constexpr int64_t kStateColumns = 64;

int64_t element_size(rn_weight_type type) { return type == RN_F32 ? 4 : 2; }

} // namespace

void rn_apply(rn_pool *pool, rn_function function, const float *x, int64_t x_stride, const float *factor,
              int64_t factor_stride, float *y, int64_t y_stride, int64_t rows, int64_t size) {
  auto apply = decoding(pool).apply;
  run_parts(pool, rows, 1, rows_of_a_part(size), [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t r = begin; r < end; r++)
      apply(function, x + r * x_stride, factor ? factor + r * factor_stride : nullptr, y + r * y_stride, size);
  });
}

void rn_weighted_sum(const float *const *inputs, const float *weights, int64_t input_count, float *y, int64_t count) {
  kernels().decoding.weighted_sum(inputs, weights, input_count, y, count);
}

void rn_interpolate(const float *past, const float *x, const float *weight, float *y, int64_t count) {
  kernels().decoding.interpolate(past, x, weight, y, count);
}

void rn_normalize(rn_pool *pool, const rn_norm *norm, int64_t rows) {
  auto normalize = decoding(pool).normalize;
  run_parts(pool, rows, 1, rows_of_a_part(norm->heads * norm->size), [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t r = begin; r < end; r++)
      normalize(*norm, r);
  });
}

void rn_rotate(rn_pool *pool, const rn_rotation *rotation, const float *x, int64_t x_stride, float *y, int64_t y_stride,
               int64_t rows) {
  auto rotate = decoding(pool).rotate;
  run_parts(pool, rows, 1, rows_of_a_part(rotation->heads * rotation->size), [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t r = begin; r < end; r++)
      rotate(*rotation, x + r * x_stride, y + r * y_stride, r);
  });
}

int64_t rn_recent_bytes(const rn_recurrence *recurrence) {
  const rn_recurrence &r = *recurrence;
  Recent rows(r, nullptr);
  int64_t per_token = r.heads / r.key_share * rows.key_stride + r.heads * (rows.value_stride + rows.decay_stride);
  return (64 + RN_BLOCK * per_token * int64_t(sizeof(float)) + 63) / 64 * 64;
}

int64_t rn_recur_scratch(const rn_pool *pool, const rn_recurrence *recurrence) {
  return decoding(pool).recur_scratch(*recurrence) * 4 * rn_pool_thread_count(pool);
}

bool rn_is_settled(const void *recent) { return *static_cast<const int64_t *>(recent) == 0; }

namespace {

// Calls body(sequence, head, begin, end, scratch) for all columns of all heads. Strips of columns share what the tokens of a
// block are to each other: whole rows, unless there would be too few parts.
template <class Body>
void in_columns(rn_pool *pool, const rn_recurrence &r, int64_t count, int64_t tokens, void *scratch, Body &&body) {
  int64_t columns = r.value_size, parts = 4 * rn_pool_thread_count(pool), elements = decoding(pool).recur_scratch(r);
  while (columns > 2 * kStateColumns && count * r.heads * ((r.value_size + columns - 1) / columns) < parts)
    columns = (columns / 2 + kStateColumns - 1) / kStateColumns * kStateColumns;
  int64_t strips = (r.value_size + columns - 1) / columns, per_sequence = r.heads * strips;
  int64_t bytes = r.key_size * columns * element_size(r.state_type) * std::max<int64_t>(tokens, 1);
  run_parts(pool, count * per_sequence, 1, std::max<int64_t>(1, kStateBytes / std::max<int64_t>(bytes, 1)),
            [&](int64_t begin, int64_t end, int32_t worker) {
              for (int64_t i = begin; i < end; i++) {
                int64_t strip = i % strips * columns;
                body(i / per_sequence, i % per_sequence / strips, strip, std::min(strip + columns, r.value_size),
                     static_cast<float *>(scratch) + worker * elements);
              }
            });
}

// Adds the keys and decays of the tokens behind the last whole block to the recent ones, whose values are there.
void keep_recent(const rn_recurrence &r, const rn_sequence &sequence) {
  Recent recent(r, sequence.recent);
  int64_t before = *recent.count, first = 0;
  for (int64_t done = 0, count; done < sequence.count; done += count) {
    count = tokens_of_block(sequence.position + done, before, sequence.count - done);
    bool ends = ends_block(sequence.position + done, before, count);
    before = ends ? 0 : before + count;
    if (ends)
      first = done + count;
  }
  int64_t place = before - (sequence.count - first);
  for (int64_t token = first; token < sequence.count; token++, place++) {
    int64_t row = sequence.first + token;
    for (int64_t head = 0; head < r.heads / r.key_share; head++)
      std::memcpy(recent.key(head, place), r.key + row * r.key_stride + head * r.key_size, r.key_size * sizeof(float));
    if (r.decay_kind == RN_NO_DECAY)
      continue;
    int64_t size = r.decay_kind == RN_CHANNEL_DECAY ? r.key_size : 1;
    for (int64_t head = 0; head < r.heads; head++)
      std::memcpy(recent.decay(head, place), r.decays + row * r.decay_stride + head * size, size * sizeof(float));
  }
  *recent.count = before;
}

} // namespace

void rn_recur(rn_pool *pool, const rn_recurrence *recurrence, const rn_sequence *sequences, int64_t count, void *scratch) {
  const rn_recurrence &r = *recurrence;
  if (count < 1 || r.heads < 1)
    return;
  int64_t longest = 0;
  for (int64_t s = 0; s < count; s++)
    longest = std::max(longest, sequences[s].count);
  auto recur = decoding(pool).recur;
  in_columns(pool, r, count, longest, scratch,
             [&](int64_t sequence, int64_t head, int64_t begin, int64_t end, float *scratch) {
               recur(r, sequences[sequence], head, begin, end, scratch);
             });
  run_parts(pool, count, 1, 8, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t s = begin; s < end; s++)
      keep_recent(r, sequences[s]);
  });
}

void rn_settle(rn_pool *pool, const rn_recurrence *recurrence, const rn_sequence *sequences, int64_t count, void *scratch) {
  const rn_recurrence &r = *recurrence;
  if (count < 1 || r.heads < 1)
    return;
  auto settle = decoding(pool).settle;
  in_columns(pool, r, count, RN_BLOCK, scratch,
             [&](int64_t sequence, int64_t head, int64_t begin, int64_t end, float *scratch) {
               if (!rn_is_settled(sequences[sequence].recent))
                 settle(r, sequences[sequence], head, begin, end, scratch);
             });
  for (int64_t s = 0; s < count; s++)
    *static_cast<int64_t *>(sequences[s].recent) = 0;
}

void rn_average(rn_pool *pool, const rn_wkv *wkv, const rn_sequence *sequences, int64_t count) {
  auto average = decoding(pool).average;
  int64_t blocks = (wkv->channels + kAverageBlock - 1) / kAverageBlock;
  run_parts(pool, count * blocks, 1, 8, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t i = begin; i < end; i++) {
      int64_t first = i % blocks * kAverageBlock;
      average(*wkv, sequences[i / blocks], first, std::min(first + kAverageBlock, wkv->channels));
    }
  });
}

void rn_convolve(rn_pool *pool, const rn_convolution *convolution, const rn_sequence *sequences, int64_t count) {
  auto convolve = decoding(pool).convolve;
  constexpr int64_t size = 256;
  int64_t blocks = (convolution->channels + size - 1) / size;
  run_parts(pool, count * blocks, 1, 8, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t i = begin; i < end; i++) {
      int64_t first = i % blocks * size;
      convolve(*convolution, sequences[i / blocks], first, std::min(first + size, convolution->channels));
    }
  });
}

int64_t rn_attend_scratch(const rn_pool *pool, const rn_attention *attention) {
  return decoding(pool).attend_scratch(*attention) * 4 * rn_pool_thread_count(pool);
}

void rn_attend(rn_pool *pool, const rn_attention *attention, const rn_cache *caches, int64_t count, void *scratch) {
  const rn_attention &a = *attention;
  auto attend = decoding(pool).attend;
  int64_t elements = decoding(pool).attend_scratch(a), tokens = 0, seen = 0;
  for (int64_t i = 0; i < count; i++) {
    tokens += caches[i].count;
    seen = std::max(seen, caches[i].seen > 0 ? caches[i].seen : caches[i].past + caches[i].count);
  }
  if (tokens < 1)
    return;
  // Query heads that share keys are one part, unless there would be too few parts.
  int64_t shared = a.heads / a.cache_heads, together = shared;
  while (together > 1 && tokens * (a.heads / together) < 2 * rn_pool_thread_count(pool))
    together = (together + 1) / 2;
  int64_t groups = (shared + together - 1) / together, per_token = a.cache_heads * groups;
  int64_t work = seen * a.head_size * together;
  run_parts(pool, tokens * per_token, 1, std::max<int64_t>(1, 8192 / std::max<int64_t>(work, 1)),
            [&](int64_t begin, int64_t end, int32_t worker) {
              int64_t cache = 0, before = 0;
              for (int64_t i = begin; i < end; i++) {
                int64_t token = i / per_token, place = i % per_token;
                for (; token >= before + caches[cache].count; cache++)
                  before += caches[cache].count;
                int64_t first = place / groups * shared, from = place % groups * together;
                attend(a, caches[cache], token - before, first + from, first + std::min(from + together, shared),
                       static_cast<float *>(scratch) + worker * elements);
              }
            });
}

void rn_narrow(const rn_pool *pool, const float *x, rn_weight_type type, void *out, int64_t count) {
  decoding(pool).narrow(x, type, out, count);
}

void rn_widen(const rn_pool *pool, const void *x, rn_weight_type type, float *out, int64_t count) {
  decoding(pool).widen(x, type, out, count);
}

int64_t rn_largest(const float *x, int64_t count) { return kernels().decoding.largest(x, count); }

float rn_log_sum(const float *x, int64_t count) { return kernels().decoding.log_sum(x, count); }

void rn_log_sums(rn_pool *pool, const float *x, int64_t x_stride, int64_t rows, int64_t count, float *sums,
                 int64_t *largest) {
  const DecodingKernels &table = decoding(pool);
  run_parts(pool, rows, 1, rows_of_a_part(count), [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t r = begin; r < end; r++) {
      sums[r] = table.log_sum(x + r * x_stride, count);
      largest[r] = table.largest(x + r * x_stride, count);
    }
  });
}

int64_t rn_largest_elements(const float *x, int64_t count, int64_t wanted, float *values, int32_t *indices) {
  // A heap in the results whose first element is the one to give way: the smallest, of equal ones the last.
  auto before = [&](std::pair<float, int32_t> a, std::pair<float, int32_t> b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  int64_t size = 0;
  auto at = [&](int64_t i) { return std::pair(values[i], indices[i]); };
  auto put = [&](int64_t i, std::pair<float, int32_t> e) { values[i] = e.first, indices[i] = e.second; };
  auto sink = [&](int64_t i, int64_t end, std::pair<float, int32_t> e) {
    for (int64_t child; (child = 2 * i + 1) < end; i = child) {
      if (child + 1 < end && before(at(child), at(child + 1)))
        child++;
      if (!before(e, at(child)))
        break;
      put(i, at(child));
    }
    put(i, e);
  };
  for (int64_t i = 0; i < count; i++) {
    if (x[i] != x[i] || wanted < 1)
      continue;
    std::pair<float, int32_t> e(x[i], int32_t(i));
    if (size < wanted) {
      int64_t place = size++;
      for (; place > 0 && before(at((place - 1) / 2), e); place = (place - 1) / 2)
        put(place, at((place - 1) / 2));
      put(place, e);
    } else if (e.first > values[0]) {
      sink(0, size, e);
    }
  }
  for (int64_t end = size - 1; end > 0; end--) {
    auto last = at(end);
    put(end, at(0));
    sink(0, end, last);
  }
  return size;
}
