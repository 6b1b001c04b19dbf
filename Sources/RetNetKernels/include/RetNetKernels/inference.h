// Inference on processors: what decoding needs, in plain C. No function allocates unless it says so, fails, or keeps a
// pointer after it returns; the caller has checked sizes. Matrices are row-major without padding unless a stride is given.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Threads --------------------------------------------------------------------------------------------------------

// Threads that share the rows of a product. One call at a time runs on them; a call that finds them taken by another
// thread runs on its own thread alone, with the same result.
typedef struct rn_pool rn_pool;

// A pool of `threads` threads, the calling one included; fewer where the system gives no more. They wait for work for a
// few microseconds and then sleep. `instruction_set` is one of rn_instruction_set_name, or null for the best one that
// the processor has; returns null where the processor lacks it. The caller destroys the pool.
rn_pool *rn_pool_create(int32_t threads, const char *instruction_set);
void rn_pool_destroy(rn_pool *pool);
int32_t rn_pool_thread_count(const rn_pool *pool);
const char *rn_pool_instruction_set(const rn_pool *pool);

// The instruction sets that this processor has, the best one first; null from the last one on.
const char *rn_instruction_set_name(int32_t index);

// Calls body(context, begin, end, worker) on parts of 0 ..< count whose sizes are multiples of `unit`, except for the
// last one, with worker < rn_pool_thread_count. A thread's parts follow each other as long as it takes none of the others'.
typedef void (*rn_body)(void *context, int64_t begin, int64_t end, int32_t worker);
void rn_pool_run(rn_pool *pool, int64_t count, int64_t unit, rn_body body, void *context);

// Reads memory, 8-byte aligned, with all threads in the way that is the fastest one known: several places at once. Returns
// the sum of its words.
uint64_t rn_read(rn_pool *pool, const void *memory, int64_t size);

// Bytes per second at which rn_read takes `size` bytes of fresh memory (allocated, and freed), the best of `repetitions`.
// 0 where there is no memory.
double rn_read_bandwidth(rn_pool *pool, int64_t size, int32_t repetitions);

// Weights --------------------------------------------------------------------------------------------------------

// Weights of 8 and 4 bits have a scale for every group of 32 columns.
#define RN_GROUP 32

typedef enum rn_weight_type {
  RN_F32 = 0,
  RN_BF16 = 1,
  RN_F16 = 2,
  // int8, weight = scale * q
  RN_I8 = 3,
  // Two weights a byte, weight = scale * q + minimum with q in 0 ... 15: of a group of 32, byte i holds column i in its
  // low and column i + 16 in its high half.
  RN_I4 = 4,
} rn_weight_type;

// A matrix [rows, columns]; where it is of 8 or 4 bits, columns is a multiple of 32, and scales and (for 4 bits) minima
// are float16 [rows, columns / 32]. No pointer needs an alignment beyond that of its elements.
typedef struct rn_weights {
  const void *data;
  const uint16_t *scales;
  const uint16_t *minima;
  int64_t rows;
  int64_t columns;
  rn_weight_type type;
} rn_weights;

// Bytes of the data, scales and minima of a matrix.
int64_t rn_weight_bytes(rn_weight_type type, int64_t rows, int64_t columns);

// Maps the pages of weights in a mapped file that are in memory, with all threads: on its first use each would interrupt. What is
// not in memory is left until then. Does nothing but on Linux.
void rn_map_weights(rn_pool *pool, const rn_weights *weights);

// Rounds x [rows, columns] to the memory of weights of 8 or 4 bits: int8 with the largest magnitude of a group as 127,
// int4 with the scale and minimum that a search for the least squared error finds. Returns -1, or the index of the first
// element (or of a group's first one) that is not finite or too large for a float16 scale.
int64_t rn_quantize(rn_pool *pool, const float *x, int64_t rows, int64_t columns, rn_weight_type type, void *data,
                    uint16_t *scales, uint16_t *minima);

// out[c] = weights[row, c]: the row of an embedding.
void rn_weight_row(const rn_weights *weights, int64_t row, float *out);

// y[b, r] = x[b] . weights[r] + bias[r], with bias [rows] or null. Rows of y are y_stride elements apart.
typedef struct rn_product {
  rn_weights weights;
  const float *bias;
  float *y;
  int64_t y_stride;
} rn_product;

// Bytes of scratch that rn_multiply needs for products with matrices of at most `columns` columns.
int64_t rn_multiply_scratch(const rn_pool *pool, int64_t columns, int64_t batch);

// Products of x [batch, columns], whose rows are x_stride elements apart, with `count` matrices of the same number of
// columns, all in one pass of the threads. Every row of y is bit for bit the same whatever else is in the batch. Where
// weights have 8 or 4 bits, x is rounded to int8 with a float32 scale for every 32 columns, and sums within a group are
// exact.
void rn_multiply(rn_pool *pool, const rn_product *products, int64_t count, const float *x, int64_t x_stride,
                 int64_t batch, void *scratch);

#ifdef __cplusplus
}
#endif
