// Kernels of decoding: products of few rows with weights of all types. inference.h is their C interface.
#pragma once

#include "elements.h"
#include "steps.h"

namespace retnet {

// Groups of columns that one vector of float32 lanes covers at most; quantized rows are padded to as many.
constexpr int64_t kGroupLanes = 16;
// Rows of weights that a part of a product is a multiple of.
constexpr int64_t kRowUnit = 16;

// Rows of x as products with one type of weights take them.
struct PreparedRows {
  // Rows as given, for float32 and 16-bit weights.
  const float *x;
  int64_t x_stride;
  // Rows of int8 with the scales of their groups, -128 times the sums of the integers of their groups, and scale * sum.
  // Columns are padded with zeros to `stride`, groups to stride / 32. `split` has them in the order of weights of 4 bits.
  int8_t *values, *split;
  float *scales, *sums;
  int32_t *offsets;
  int64_t stride;
  // Rows of bfloat16, padded with zeros.
  BF16 *narrow;
  int64_t narrow_stride;
};

// The tokens of a block of rn_recur that are not in the state yet: their number, and of every head or shared head
// RN_BLOCK rows of keys, decays and values. Rows are padded, so that they do not fall on the same lines of a cache.
struct Recent {
  int64_t *count;
  float *keys = nullptr, *decays = nullptr, *values = nullptr;
  int64_t key_stride, decay_stride, value_stride;

  RETNET_INLINE Recent(const rn_recurrence &r, void *memory)
      : count(static_cast<int64_t *>(memory)), key_stride(padded_row(r.key_size)),
        decay_stride(r.decay_kind == RN_CHANNEL_DECAY ? key_stride : r.decay_kind == RN_HEAD_DECAY),
        value_stride(padded_row(r.value_size)) {
    if (!memory)
      return;
    keys = static_cast<float *>(memory) + 16;
    values = keys + r.heads / r.key_share * RN_BLOCK * key_stride;
    decays = values + r.heads * RN_BLOCK * value_stride;
  }

  static RETNET_INLINE int64_t padded_row(int64_t size) { return (size + 15) / 16 * 16 + 16; }
  RETNET_INLINE float *key(int64_t head, int64_t token) const { return keys + (head * RN_BLOCK + token) * key_stride; }
  RETNET_INLINE float *decay(int64_t head, int64_t token) const { return decays + (head * RN_BLOCK + token) * decay_stride; }
  RETNET_INLINE float *value(int64_t head, int64_t token) const { return values + (head * RN_BLOCK + token) * value_stride; }
};

// How many of the next `left` tokens belong to the block of which `before` tokens are there, and whether they end it.
RETNET_INLINE int64_t tokens_of_block(int64_t position, int64_t before, int64_t left) {
  int64_t count = RN_BLOCK - (position & (RN_BLOCK - 1));
  count = count < RN_BLOCK - before ? count : RN_BLOCK - before;
  return count < left ? count : left;
}
RETNET_INLINE bool ends_block(int64_t position, int64_t before, int64_t count) {
  return ((position + count) & (RN_BLOCK - 1)) == 0 || before + count == RN_BLOCK;
}

struct DecodingKernels {
  // Rounds a row of `columns` elements (a multiple of 32) to int8.
  void (*quantize_row)(const float *x, int64_t columns, const PreparedRows &rows, int64_t row);
  // Rounds a row to bfloat16; null where products with bfloat16 weights take rows of float32.
  void (*narrow_row)(const float *x, int64_t columns, const PreparedRows &rows, int64_t row);
  // True where products with weights of 4 bits need `split`, which is `values` elsewhere.
  bool splits_groups;
  // Rows [begin, end) of one product. `panel` is scratch of the thread, of panel_bytes(columns).
  void (*multiply)(const rn_product &product, const PreparedRows &x, int64_t batch, int64_t begin, int64_t end,
                   void *panel);
  int64_t (*panel_bytes)(int64_t columns);
  // Rounds a row of weights to 8 or 4 bits. Returns -1, or the index of the first element, or that of the first one of
  // the first group, that is not finite or too large.
  int64_t (*quantize_weights)(const float *x, int64_t columns, rn_weight_type type, void *data, uint16_t *scales,
                              uint16_t *minima);
  void (*widen_row)(const rn_weights &weights, int64_t row, float *out);

  // The operations of steps.h, of one row or of one head of a sequence and columns [begin, end) of it.
  void (*narrow)(const float *x, rn_weight_type type, void *out, int64_t count);
  void (*widen)(const void *x, rn_weight_type type, float *out, int64_t count);
  void (*apply)(rn_function function, const float *x, const float *factor, float *y, int64_t count);
  void (*weighted_sum)(const float *const *inputs, const float *weights, int64_t input_count, float *y, int64_t count);
  void (*interpolate)(const float *past, const float *x, const float *weight, float *y, int64_t count);
  void (*normalize)(const rn_norm &norm, int64_t row);
  void (*rotate)(const rn_rotation &rotation, const float *x, float *y, int64_t row);
  // The scratch of a thread, in floats, the tokens of a sequence, and its recent tokens alone. Values of recent tokens are
  // kept up; the caller then adds keys, decays and their number.
  int64_t (*recur_scratch)(const rn_recurrence &recurrence);
  void (*recur)(const rn_recurrence &recurrence, const rn_sequence &sequence, int64_t head, int64_t begin, int64_t end,
                float *scratch);
  void (*settle)(const rn_recurrence &recurrence, const rn_sequence &sequence, int64_t head, int64_t begin, int64_t end,
                 float *scratch);
  void (*average)(const rn_wkv &wkv, const rn_sequence &sequence, int64_t begin, int64_t end);
  void (*convolve)(const rn_convolution &convolution, const rn_sequence &sequence, int64_t begin, int64_t end);
  // The heads [begin, end), which share one of the cache, of a token of the cache; elements of scratch, and the kernel.
  int64_t (*attend_scratch)(const rn_attention &attention);
  void (*attend)(const rn_attention &attention, const rn_cache &cache, int64_t token, int64_t begin, int64_t end,
                 float *scratch);
  int64_t (*largest)(const float *x, int64_t count);
  float (*log_sum)(const float *x, int64_t count);

  // Adds up the words, to measure how fast memory is read.
  uint64_t (*read)(const uint64_t *words, int64_t count);
};

} // namespace retnet
