// The C interface of inference; the kernels are those of the pool's instruction set.
#include "include/RetNetKernels/inference.h"

#include "workers.h"
#include "cpu/tables.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>

using namespace retnet;

namespace {

const DecodingKernels &decoding(const rn_pool *pool) { return (pool ? pool->table : kernels()).decoding; }

// Bytes of weights that take about a microsecond.
constexpr int64_t kPartBytes = 1 << 14;

bool is_integer(rn_weight_type type) { return type == RN_I8 || type == RN_I4; }

int64_t padded_columns(int64_t columns) {
  int64_t unit = RN_GROUP * kGroupLanes;
  return (columns + unit - 1) / unit * unit;
}

// Rows of x in a product of many are a little apart, so that those of a tile do not fall on the same lines of a cache.
constexpr int64_t kGap = 32, kSpreadRows = 5;
int64_t spread(int64_t columns) { return (columns + 15) / 16 * 16 + kGap; }

// Parts of the scratch, each aligned to a line of the cache.
struct Scratch {
  char *next;
  template <class T> T *take(int64_t count) {
    char *here = next;
    next += (count * int64_t(sizeof(T)) + 63) / 64 * 64;
    return reinterpret_cast<T *>(here);
  }
};

} // namespace

rn_pool *rn_pool_create(int32_t threads, const char *instruction_set) {
  const KernelTable *table = instruction_set ? kernel_table(instruction_set) : &kernels();
  return table ? new (std::nothrow) rn_pool(threads, *table) : nullptr;
}

void rn_pool_destroy(rn_pool *pool) { delete pool; }

int32_t rn_pool_thread_count(const rn_pool *pool) { return pool ? pool->thread_count : 1; }

const char *rn_pool_instruction_set(const rn_pool *pool) {
  return (pool ? pool->table : kernels()).instruction_set;
}

const char *rn_instruction_set_name(int32_t index) {
  const KernelTable *table = index < 0 ? nullptr : available_table(index);
  return table ? table->instruction_set : nullptr;
}

void rn_pool_run(rn_pool *pool, int64_t count, int64_t unit, rn_body body, void *context) {
  if (pool)
    pool->run(count, std::max<int64_t>(unit, 1), 1, body, context);
  else if (count > 0)
    body(context, 0, count, 0);
}

uint64_t rn_read(rn_pool *pool, const void *memory, int64_t size) {
  auto read = decoding(pool).read;
  std::atomic<uint64_t> sum{0};
  run_parts(pool, size / 8, 512, 1, [&](int64_t begin, int64_t end, int32_t) {
    sum.fetch_add(read(static_cast<const uint64_t *>(memory) + begin, end - begin), std::memory_order_relaxed);
  });
  return sum;
}

double rn_read_bandwidth(rn_pool *pool, int64_t size, int32_t repetitions) {
  int64_t count = size / 8;
  std::unique_ptr<uint64_t[]> words(new (std::nothrow) uint64_t[std::max<int64_t>(count, 1)]);
  if (!words || count < 1)
    return 0;
  // Each thread writes the pages that it will read.
  run_parts(pool, count, 512, 1, [&](int64_t begin, int64_t end, int32_t) {
    std::memset(words.get() + begin, 1, (end - begin) * 8);
  });
  double best = 0;
  volatile uint64_t sink = 0;
  for (int32_t i = 0; i < repetitions; i++) {
    auto start = std::chrono::steady_clock::now();
    sink = sink + rn_read(pool, words.get(), count * 8);
    std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::max(best, double(count * 8) / time.count());
  }
  return best;
}

int64_t rn_weight_bytes(rn_weight_type type, int64_t rows, int64_t columns) {
  int64_t elements = rows * columns, groups = elements / RN_GROUP;
  switch (type) {
  case RN_F32: return elements * 4;
  case RN_BF16:
  case RN_F16: return elements * 2;
  case RN_I8: return elements + groups * 2;
  case RN_I4: return elements / 2 + groups * 4;
  }
  return 0;
}

int64_t rn_quantize(rn_pool *pool, const float *x, int64_t rows, int64_t columns, rn_weight_type type, void *data,
                    uint16_t *scales, uint16_t *minima) {
  auto quantize = decoding(pool).quantize_weights;
  int64_t groups = columns / RN_GROUP, bytes = type == RN_I8 ? columns : columns / 2;
  std::atomic<int64_t> bad{INT64_MAX};
  run_parts(pool, rows, 1, 1, [&](int64_t begin, int64_t end, int32_t) {
    for (int64_t r = begin; r < end; r++) {
      int64_t found = quantize(x + r * columns, columns, type, static_cast<char *>(data) + r * bytes, scales + r * groups,
                               minima ? minima + r * groups : nullptr);
      if (found < 0)
        continue;
      found += r * columns;
      for (int64_t first = bad; found < first && !bad.compare_exchange_weak(first, found);)
        ;
      return;
    }
  });
  return bad == INT64_MAX ? -1 : bad.load();
}

void rn_weight_row(const rn_weights *weights, int64_t row, float *out) { kernels().decoding.widen_row(*weights, row, out); }

int64_t rn_multiply_scratch(const rn_pool *pool, int64_t columns, int64_t batch) {
  int64_t padded = padded_columns(columns), groups = padded / RN_GROUP;
  return 64 * 10 + batch * (4 * padded + 4 * spread(columns) + 2 * kGap + groups * 12) + decoding(pool).panel_bytes(columns) * rn_pool_thread_count(pool);
}

void rn_multiply(rn_pool *pool, const rn_product *products, int64_t count, const float *x, int64_t x_stride,
                 int64_t batch, void *scratch) {
  if (count < 1 || batch < 1)
    return;
  const DecodingKernels &table = decoding(pool);
  int64_t columns = products[0].weights.columns, units = 0;
  bool integers = false, nibbles = false, pairs = false, floats = false;
  for (int64_t i = 0; i < count; i++) {
    rn_weight_type type = products[i].weights.type;
    integers |= is_integer(type), nibbles |= type == RN_I4, pairs |= type == RN_BF16 && table.narrow_row;
    floats |= !is_integer(type) && !(type == RN_BF16 && table.narrow_row);
    units += (products[i].weights.rows + kRowUnit - 1) / kRowUnit;
  }
  Scratch parts{reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(scratch) + 63) / 64 * 64)};
  PreparedRows rows{x, x_stride};
  rows.stride = padded_columns(columns), rows.narrow_stride = rows.stride + kGap;
  if (integers) {
    int64_t groups = rows.stride / RN_GROUP;
    rows.values = parts.take<int8_t>(batch * rows.stride);
    rows.split = !table.splits_groups ? rows.values : nibbles ? parts.take<int8_t>(batch * rows.stride) : nullptr;
    rows.scales = parts.take<float>(batch * groups), rows.sums = parts.take<float>(batch * groups);
    rows.offsets = parts.take<int32_t>(batch * groups);
  }
  if (pairs)
    rows.narrow = parts.take<BF16>(batch * rows.narrow_stride);
  float *apart = nullptr;
  if (floats && batch >= kSpreadRows) {
    rows.x_stride = spread(columns);
    rows.x = apart = parts.take<float>(batch * rows.x_stride);
  }
  if (integers || pairs || apart)
    run_parts(pool, batch, 1, 8, [&](int64_t begin, int64_t end, int32_t) {
      for (int64_t b = begin; b < end; b++) {
        if (integers)
          table.quantize_row(x + b * x_stride, columns, rows, b);
        if (apart)
          std::memcpy(apart + b * rows.x_stride, x + b * x_stride, columns * sizeof(float));
        if (pairs)
          table.narrow_row(x + b * x_stride, columns, rows, b);
      }
    });
  int64_t panel_bytes = table.panel_bytes(columns);
  char *panels = parts.take<char>(panel_bytes * rn_pool_thread_count(pool));
  // A part is worth the time of handing it over; a range of units may end in another matrix than it begins in.
  int64_t unit_bytes = rn_weight_bytes(products[0].weights.type, kRowUnit, columns) * batch;
  run_parts(pool, units, 1, (kPartBytes + unit_bytes - 1) / std::max<int64_t>(unit_bytes, 1), [&](int64_t begin, int64_t end, int32_t worker) {
    for (int64_t i = 0, first = 0; i < count && first < end; i++) {
      int64_t size = products[i].weights.rows, last = first + (size + kRowUnit - 1) / kRowUnit;
      if (last > begin) {
        int64_t from = std::max(begin - first, int64_t(0)) * kRowUnit;
        int64_t to = std::min((std::min(end, last) - first) * kRowUnit, size);
        table.multiply(products[i], rows, batch, from, to, panels + worker * panel_bytes);
      }
      first = last;
    }
  });
}
