// The operations of inference between its products, in plain C; see inference.h for what holds for all of them.
//
// Rows belong to tokens. The heads of a row follow each other, and rows are a stride apart, in elements. Results do not
// depend on how many threads or rows there are.
#pragma once

#include "inference.h"

#ifdef __cplusplus
extern "C" {
#endif

// Functions of one number ----------------------------------------------------------------------------------------

typedef enum rn_function {
  RN_IDENTITY = 0,
  RN_SWISH = 1,     // x sigmoid(x)
  RN_GELU = 2,      // x Phi(x)
  RN_RELU = 3,
  RN_GELU_TANH = 4, // GELU by its approximation with tanh
  RN_SQUARED_RELU = 5,
  RN_SIGMOID = 6,
  RN_TANH = 7,
  RN_EXP = 8,
  RN_SOFTPLUS = 9, // ln(1 + e^x)
  RN_ELU_PLUS_ONE = 10, // x + 1 above 0, e^x below
} rn_function;

// y = function(x) * factor; without a factor (null) function(x) alone. y may be x or factor.
void rn_apply(rn_pool *pool, rn_function function, const float *x, int64_t x_stride, const float *factor,
              int64_t factor_stride, float *y, int64_t y_stride, int64_t rows, int64_t size);

// y = sum of weights[i] * inputs[i], `count` elements; y may be one of the inputs.
void rn_weighted_sum(const float *const *inputs, const float *weights, int64_t input_count, float *y, int64_t count);

// y = past + (x - past) * weight, element by element: a token shift. y may be x or past.
void rn_interpolate(const float *past, const float *x, const float *weight, float *y, int64_t count);

// Norms and rotations --------------------------------------------------------------------------------------------

typedef enum rn_norm_kind {
  RN_NO_NORM = 0, // x / sqrt(epsilon)
  RN_RMS = 1,
  RN_LAYER = 2,
} rn_norm_kind;

// Every row's `heads` parts of `size` elements are normalized on their own: y = norm(x) * weight + bias, times
// function(gate) where there is a gate.
typedef struct rn_norm {
  rn_norm_kind kind;
  rn_function function;
  int64_t heads, size;
  // [size], or with heads_have_weights [heads * size]; null for none.
  const float *weight, *bias;
  bool heads_have_weights;
  // Added to the mean square or the variance; where `epsilons` [rows, heads] is given, that is.
  float epsilon;
  const float *epsilons;
  const float *x;
  int64_t x_stride;
  const float *gate;
  int64_t gate_stride;
  // May be x.
  float *y;
  int64_t y_stride;
} rn_norm;

void rn_normalize(rn_pool *pool, const rn_norm *norm, int64_t rows);

// Turns `pairs` pairs of channels of every head of `size` channels by (cosine, sine) [rows, pairs] of its row, times
// `scale`, which also multiplies the channels behind the pairs. Pairs are (2j, 2j + 1) where they are interleaved, else
// (j, j + pairs). cosine is null for the scale alone. y may be x.
typedef struct rn_rotation {
  const float *cosine, *sine;
  int64_t table_stride;
  int64_t heads, size, pairs;
  bool interleaved;
  float scale;
} rn_rotation;

void rn_rotate(rn_pool *pool, const rn_rotation *rotation, const float *x, int64_t x_stride, float *y, int64_t y_stride,
               int64_t rows);

// Recurrences ----------------------------------------------------------------------------------------------------

// Tokens of one sequence: the rows first ..< first + count, and its state, which moves behind them. `position` is the
// number of tokens before the first row. `recent` is for rn_recur alone.
typedef struct rn_sequence {
  void *state;
  void *recent;
  int64_t first, count;
  int64_t position;
} rn_sequence;

// Tokens of a block of rn_recur.
#define RN_BLOCK 16

typedef enum rn_decay_kind {
  RN_NO_DECAY = 0,
  RN_HEAD_DECAY = 1,    // decays [heads]
  RN_CHANNEL_DECAY = 2, // decays [heads, key_size]
} rn_decay_kind;

// A matrix S [key_size, value_size] per head that every token decays, partly erases and writes to:
//
//     S = a S        S = S + k^T v, or with strengths b: S = S + k^T b (v - k S)        o = q S
//
// The state of a sequence is [heads, key_size, value_size] in float32, bfloat16 or float16; sums are in float32.
//
// Tokens enter the state together when the last one of a block was there: a block is the RN_BLOCK tokens between two
// multiples of it in the sequence. Until then their keys, values and decays wait in the recent tokens of the sequence, in
// float32. So most steps read the state without writing it, a number of the state is rounded once a block, and a call that
// has several tokens of a block multiplies matrices. Results are bit for bit the same however a sequence is cut into calls.
typedef struct rn_recurrence {
  int64_t heads, key_size, value_size;
  rn_weight_type state_type;
  // Rows of tokens. Head h reads part h / share of a row.
  const float *query, *key, *value;
  int64_t query_stride, key_stride, value_stride;
  int64_t query_share, key_share, value_share;
  // Factors, not logarithms; rows of tokens, or with a stride of 0 the same for all of them.
  rn_decay_kind decay_kind;
  const float *decays;
  int64_t decay_stride;
  // b [heads] of every token, or null.
  const float *strengths;
  int64_t strength_stride;
  float *output;
  int64_t output_stride;
} rn_recurrence;

// Bytes of the recent tokens of a sequence, 64-byte aligned; all zeros are none. They depend on heads, sizes, shares and the
// kind of decays alone.
int64_t rn_recent_bytes(const rn_recurrence *recurrence);

int64_t rn_recur_scratch(const rn_pool *pool, const rn_recurrence *recurrence);
void rn_recur(rn_pool *pool, const rn_recurrence *recurrence, const rn_sequence *sequences, int64_t count, void *scratch);

// Lets recent tokens enter the states before the end of their block, for those who read states. What follows is equal to
// rounding to what would have followed. Of the recurrence, heads, sizes, shares, the state's type and the kind of decays count.
void rn_settle(rn_pool *pool, const rn_recurrence *recurrence, const rn_sequence *sequences, int64_t count, void *scratch);
// True where there are no recent tokens.
bool rn_is_settled(const void *recent);

// The average of RWKV-4 over past values, whose weights decay by w > 0 a token; the current one counts e^bonus more.
// The state of a sequence is [3, channels] in float32: numerator, denominator and exponent, all 0 before the first token.
typedef struct rn_wkv {
  int64_t channels;
  const float *key, *value;
  float *output;
  // Of the rows of all three.
  int64_t stride;
  const float *decay, *bonus;
} rn_wkv;

void rn_average(rn_pool *pool, const rn_wkv *wkv, const rn_sequence *sequences, int64_t count);

// y_t = bias + sum_j weight[c, j] x_(t - width + 1 + j), then function: a convolution over the last tokens of each channel.
// The state of a sequence is the last width - 1 inputs [width - 1, channels] in float32. y must not be x.
typedef struct rn_convolution {
  int64_t channels, width;
  const float *weight, *bias;
  rn_function function;
  const float *x;
  int64_t x_stride;
  float *y;
  int64_t y_stride;
} rn_convolution;

void rn_convolve(rn_pool *pool, const rn_convolution *convolution, const rn_sequence *sequences, int64_t count);

// Attention ------------------------------------------------------------------------------------------------------

// Keys and values of one sequence: those of a head are `head_stride` elements behind those of the head before, those of
// a token `head_size` behind those of the token before. The rows first ..< first + count are its last tokens, whose keys
// and values are there already behind those of `past` others. With `seen` above 0 they see the first `seen` keys, all of
// them, whatever their own place: in both directions, or those of another sequence.
typedef struct rn_cache {
  const void *keys, *values;
  int64_t head_stride;
  int64_t first, count, past;
  int64_t seen;
} rn_cache;

// softmax(scale q K^T + bias) V over the tokens up to each row's own, or over all that the cache says.
typedef struct rn_attention {
  int64_t heads, cache_heads, head_size;
  rn_weight_type cache_type; // float32, bfloat16 or float16
  float scale;
  const float *query;
  int64_t query_stride;
  float *output;
  int64_t output_stride;
  // Of every head, the bias of keys at the distances -bias_reach ... bias_reach from a row's own place, farther ones have that
  // of the farthest: [heads, 2 bias_reach + 1], or null for none.
  const float *bias;
  int64_t bias_reach;
} rn_attention;

int64_t rn_attend_scratch(const rn_pool *pool, const rn_attention *attention);
void rn_attend(rn_pool *pool, const rn_attention *attention, const rn_cache *caches, int64_t count, void *scratch);

// Numbers and logits ---------------------------------------------------------------------------------------------

// out = x as float32, bfloat16 or float16 (rounded to nearest even), and back.
void rn_narrow(const rn_pool *pool, const float *x, rn_weight_type type, void *out, int64_t count);
void rn_widen(const rn_pool *pool, const void *x, rn_weight_type type, float *out, int64_t count);

// The index of the first largest element; a NaN counts as less than anything.
int64_t rn_largest(const float *x, int64_t count);
// The logarithm of the sum of e^x.
float rn_log_sum(const float *x, int64_t count);
// Both of every row of x [rows, count].
void rn_log_sums(rn_pool *pool, const float *x, int64_t x_stride, int64_t rows, int64_t count, float *sums,
                 int64_t *largest);
// The `wanted` largest elements in falling order, equal ones by index, and their indices; NaN is never among them.
// Returns how many there are.
int64_t rn_largest_elements(const float *x, int64_t count, int64_t wanted, float *values, int32_t *indices);

#ifdef __cplusplus
}
#endif
