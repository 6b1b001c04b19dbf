// A plain C interface over LibTorch: the only door between Swift and C++ in this package.
//
// Contract of every function that returns `ct_status`:
//   * 0 means success and the out parameters are written; anything else is a `ct_error_kind`, the
//     out parameters are untouched, and `ct_error_message()` holds the text of *this* call until the
//     next failing call on the same thread. No C++ exception ever crosses.
//   * A `ct_tensor` written to an out parameter is owned by the caller (+1), who releases it with
//     `ct_tensor_free`. Tensors passed as arguments are borrowed.
#ifndef CTORCH_H
#define CTORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ct_tensor_box *ct_tensor;
typedef struct ct_generator_box *ct_generator;
typedef int32_t ct_status;

typedef enum {
  CT_OK = 0,
  CT_ERROR_OUT_OF_MEMORY = 1,
  CT_ERROR_INDEX = 2,
  CT_ERROR_VALUE = 3,
  CT_ERROR_TYPE = 4,
  CT_ERROR_NOT_IMPLEMENTED = 5,
  CT_ERROR_LIBTORCH = 6,
  CT_ERROR_OTHER = 7,
  CT_ERROR_CALLBACK = 8,
} ct_error_kind;

// Element types; the values are this interface's own.
typedef enum {
  CT_UINT8 = 0,
  CT_INT8 = 1,
  CT_INT16 = 2,
  CT_INT32 = 3,
  CT_INT64 = 4,
  CT_FLOAT16 = 5,
  CT_BFLOAT16 = 6,
  CT_FLOAT32 = 7,
  CT_FLOAT64 = 8,
  CT_BOOL = 9,
} ct_dtype;

typedef enum { CT_CPU = 0, CT_CUDA = 1, CT_MPS = 2 } ct_device_kind;

const char *ct_error_message(void);

// ---- Library and devices (device.cpp) ----
const char *ct_version_built(void);
// Version of the LibTorch that was loaded at run time.
const char *ct_version_loaded(void);
void ct_initialize(void);
void ct_cpu_description(char *buffer, int64_t capacity);
ct_status ct_set_threads(int32_t count);
int32_t ct_threads(void);
// Loads the CUDA half of LibTorch if it is installed; false (with a reason) when it cannot be used.
bool ct_cuda_load(char *reason, int64_t capacity);
int32_t ct_cuda_device_count(void);
bool ct_mps_available(void);
ct_status ct_synchronize(int32_t device_kind, int32_t device_index);
bool ct_supports_bfloat16(void);
int64_t ct_live_tensor_count(void);
ct_status ct_set_deterministic(bool enabled);

// ---- Handles and creation (create.cpp) ----
void ct_tensor_free(ct_tensor t);
ct_status ct_tensor_retain(ct_tensor *out, ct_tensor t);
ct_status ct_empty(ct_tensor *out, const int64_t *shape, int32_t rank, int32_t dtype, int32_t device, int32_t index);
ct_status ct_full(ct_tensor *out, const int64_t *shape, int32_t rank, double value, int32_t dtype, int32_t device,
                  int32_t index);
ct_status ct_arange(ct_tensor *out, double start, double end, double step, int32_t dtype, int32_t device,
                    int32_t index);
// Copies `byte_count` bytes from host memory; the count must equal shape x element size.
ct_status ct_from_bytes(ct_tensor *out, const void *bytes, int64_t byte_count, const int64_t *shape, int32_t rank,
                        int32_t dtype, int32_t device, int32_t index);
// Copies the elements (made contiguous, on the host) into `bytes`.
ct_status ct_to_bytes(ct_tensor t, void *bytes, int64_t byte_count);
// Overwrites the elements of `t` with host bytes, keeping its storage.
ct_status ct_assign_bytes(ct_tensor t, const void *bytes, int64_t byte_count);
int32_t ct_rank(ct_tensor t);
void ct_shape(ct_tensor t, int64_t *shape);
int64_t ct_element_count(ct_tensor t);
int32_t ct_dtype_of(ct_tensor t);
void ct_device_of(ct_tensor t, int32_t *device, int32_t *index);
bool ct_is_contiguous(ct_tensor t);
ct_status ct_item_double(double *out, ct_tensor t);
ct_status ct_item_int(int64_t *out, ct_tensor t);
ct_status ct_to(ct_tensor *out, ct_tensor t, int32_t dtype, int32_t device, int32_t index, bool copy);
ct_status ct_clone(ct_tensor *out, ct_tensor t);
ct_status ct_contiguous(ct_tensor *out, ct_tensor t);

// ---- Shapes and indexing (shape.cpp) ----
ct_status ct_reshape(ct_tensor *out, ct_tensor t, const int64_t *shape, int32_t rank);
ct_status ct_transpose(ct_tensor *out, ct_tensor t, int64_t a, int64_t b);
ct_status ct_permute(ct_tensor *out, ct_tensor t, const int64_t *axes, int32_t rank);
ct_status ct_expand(ct_tensor *out, ct_tensor t, const int64_t *shape, int32_t rank);
ct_status ct_unsqueeze(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_squeeze(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_slice(ct_tensor *out, ct_tensor t, int64_t axis, int64_t start, int64_t end, int64_t step);
ct_status ct_select(ct_tensor *out, ct_tensor t, int64_t axis, int64_t index);
ct_status ct_index_select(ct_tensor *out, ct_tensor t, int64_t axis, ct_tensor indices);
ct_status ct_gather(ct_tensor *out, ct_tensor t, int64_t axis, ct_tensor indices);
ct_status ct_concatenate(ct_tensor *out, const ct_tensor *tensors, int32_t count, int64_t axis);
ct_status ct_stack(ct_tensor *out, const ct_tensor *tensors, int32_t count, int64_t axis);
ct_status ct_flip(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_where(ct_tensor *out, ct_tensor condition, ct_tensor a, ct_tensor b);
ct_status ct_masked_fill(ct_tensor *out, ct_tensor t, ct_tensor mask, double value);
ct_status ct_repeat_interleave(ct_tensor *out, ct_tensor t, int64_t count, int64_t axis);
ct_status ct_sort(ct_tensor *values, ct_tensor *indices, ct_tensor t, int64_t axis, bool descending);
// The `count` largest of an axis, largest first.
ct_status ct_topk(ct_tensor *values, ct_tensor *indices, ct_tensor t, int64_t count, int64_t axis);

// ---- Element-wise mathematics, reductions, products (math.cpp) ----
typedef enum {
  CT_NEG, CT_ABS, CT_EXP, CT_EXPM1, CT_LOG, CT_LOG1P, CT_SQRT, CT_RSQRT, CT_SIN, CT_COS, CT_TANH, CT_SIGMOID,
  CT_SILU, CT_GELU, CT_RELU, CT_RECIPROCAL, CT_IS_FINITE, CT_LOGICAL_NOT, CT_SOFTPLUS,
} ct_unary;
typedef enum {
  CT_ADD, CT_SUB, CT_MUL, CT_DIV, CT_MAXIMUM, CT_MINIMUM, CT_POW, CT_LT, CT_LE, CT_GT, CT_GE, CT_EQ, CT_NE,
  CT_REMAINDER,
} ct_binary;
typedef enum { CT_SUM, CT_MEAN, CT_AMAX, CT_AMIN } ct_reduction;
ct_status ct_unary_op(ct_tensor *out, ct_tensor t, int32_t op);
ct_status ct_binary_op(ct_tensor *out, ct_tensor a, ct_tensor b, int32_t op);
// With `reversed`, the scalar is the left operand.
ct_status ct_scalar_op(ct_tensor *out, ct_tensor t, double scalar, int32_t op, bool reversed);
// No axes: over all elements.
ct_status ct_reduce(ct_tensor *out, ct_tensor t, const int64_t *axes, int32_t count, bool keep, int32_t op);
ct_status ct_clamp(ct_tensor *out, ct_tensor t, double low, double high);
ct_status ct_matmul(ct_tensor *out, ct_tensor a, ct_tensor b);
ct_status ct_linear(ct_tensor *out, ct_tensor input, ct_tensor weight, ct_tensor bias /* may be NULL */);
ct_status ct_cumsum(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_softmax(ct_tensor *out, ct_tensor t, int64_t axis, bool logarithm);
ct_status ct_argmax(ct_tensor *out, ct_tensor t, int64_t axis);
ct_status ct_tril(ct_tensor *out, ct_tensor t, int64_t diagonal);
// Q of a QR decomposition of [M, N], M >= N, with the signs of a positive diagonal of R.
ct_status ct_orthonormal_columns(ct_tensor *out, ct_tensor t);
ct_status ct_embedding(ct_tensor *out, ct_tensor weight, ct_tensor indices);
ct_status ct_layer_norm(ct_tensor *out, ct_tensor t, ct_tensor weight, ct_tensor bias, double epsilon);
// logits [N, V] (computed in float32), targets [N] int64; rows whose target is -100 do not count.
// reduction 0: per row, 1: mean over counted rows, 2: sum.
ct_status ct_cross_entropy(ct_tensor *out, ct_tensor logits, ct_tensor targets, int32_t reduction);
ct_status ct_all_finite(bool *out, ct_tensor t);
ct_status ct_copy_in_place(ct_tensor destination, ct_tensor source);
ct_status ct_scale_in_place(ct_tensor t, double factor);
ct_status ct_add_in_place(ct_tensor t, ct_tensor other, double factor);

// ---- Automatic differentiation (autograd.cpp) ----
bool ct_gradients_enabled(void);
void ct_set_gradients_enabled(bool enabled);
ct_status ct_set_requires_grad(ct_tensor t, bool enabled);
bool ct_requires_grad(ct_tensor t);
ct_status ct_detach(ct_tensor *out, ct_tensor t);
// *out is NULL when the tensor has no gradient.
ct_status ct_grad(ct_tensor *out, ct_tensor t);
ct_status ct_clear_grad(ct_tensor t);
ct_status ct_set_grad(ct_tensor t, ct_tensor gradient);
// Gradients may be NULL where the output is a scalar.
ct_status ct_backward(const ct_tensor *outputs, const ct_tensor *gradients, int32_t count);
// Unused inputs give NULL in `out`.
ct_status ct_gradients(ct_tensor *out, const ct_tensor *outputs, const ct_tensor *gradients, int32_t output_count,
                       const ct_tensor *inputs, int32_t input_count);
// A segment that is computed again during the backward pass instead of keeping its activations.
// `forward` reads borrowed inputs and writes `output_count` owned outputs; a non-zero result is an error.
// `context` is released with `release` when the graph no longer needs it.
typedef int32_t (*ct_segment)(void *context, const ct_tensor *inputs, int32_t input_count, ct_tensor *outputs,
                              int32_t output_count);
ct_status ct_checkpoint(ct_tensor *outputs, int32_t output_count, const ct_tensor *inputs, int32_t input_count,
                        ct_segment forward, void *context, void (*release)(void *));

// ---- Random numbers (random.cpp) ----
ct_status ct_generator_new(ct_generator *out, uint64_t seed, int32_t device, int32_t index);
void ct_generator_free(ct_generator g);
ct_status ct_generator_state(ct_tensor *out, ct_generator g);
ct_status ct_generator_set_state(ct_generator g, ct_tensor state);
ct_status ct_normal(ct_tensor t, double mean, double std, ct_generator g);
ct_status ct_uniform(ct_tensor t, double low, double high, ct_generator g);
ct_status ct_bernoulli(ct_tensor t, double probability, ct_generator g);
// probabilities [N, V] -> indices [N]
ct_status ct_multinomial(ct_tensor *out, ct_tensor probabilities, ct_generator g);

// ---- Optimiser steps over lists of tensors (optim.cpp) ----
// One AdamW step in place (decoupled weight decay); `step` counts from 1. All tensors float32 or float64.
ct_status ct_adamw(const ct_tensor *parameters, const ct_tensor *gradients, const ct_tensor *first,
                   const ct_tensor *second, int32_t count, int64_t step, double learning_rate, double beta1,
                   double beta2, double weight_decay, double epsilon);
// One Adafactor step in place; `row` and `column` are factored second moments, or `row` is a full one and `column`
// NULL.
ct_status ct_adafactor(ct_tensor parameter, ct_tensor gradient, ct_tensor row, ct_tensor column, double beta,
                       double learning_rate, double clip_threshold, bool scale_by_parameter, double weight_decay);
// Euclidean norm over all tensors; the sum runs in float64 and in order, so it is reproducible.
ct_status ct_global_norm(double *out, const ct_tensor *tensors, int32_t count);
ct_status ct_scale_all(const ct_tensor *tensors, int32_t count, double factor);

// ---- Fused operators (kernels/): differentiable; on other devices than the CPU they run as ATen chains ----
// Rotates channel pairs: x [B, T, H, A] (any strides) -> [B, H, T, A], times `scale`.
// cos, sin [B or 1, T, A/2] float32 or float64; NULL for no rotation. Interleaved pairs (2j, 2j+1) or halves.
ct_status ct_rotate_heads(ct_tensor *out, ct_tensor x, ct_tensor cosine, ct_tensor sine, bool interleaved,
                          double scale);
// Chunkwise retention with hand-written gradients; see kernels/retention.cpp.
// q, k [B, H, T, A], v [B, H, T, V], state [B, H, A, V] or NULL, log_gammas: host array of H doubles.
ct_status ct_retention_chunkwise(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                                 ct_tensor state, const double *log_gammas, int32_t heads, int64_t chunk);
// One recurrent step without gradients: q, k [B, H, A], v [B, H, V], state [B, H, A, V] float32 -> o [B, H, V],
// new state. `in_place` overwrites `state` and leaves *state_out NULL.
ct_status ct_retention_step(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                            ct_tensor state, const double *log_gammas, int32_t heads, bool in_place);
// Head norm over the last axis of x [B, H, T, V], then gate [B, T, H*V] (NULL: none) -> [B, T, H*V].
// epsilons [B or 1, H, T] float32: the epsilon of each row (folded score factors); weight, bias [H*V] or NULL.
// kind 1: RMS, 2: layer. activation 0: none, 1: swish, 2: gelu.
ct_status ct_head_norm_gate(ct_tensor *out, ct_tensor x, ct_tensor gate, ct_tensor epsilons, ct_tensor weight,
                            ct_tensor bias, int32_t kind, int32_t activation);
// RMS norm over the last axis; weight may be NULL. Output in the type of x.
ct_status ct_rms_norm(ct_tensor *out, ct_tensor x, ct_tensor weight, double epsilon);
// act(a) * b; b may be NULL. activation as above, 3: relu, 4: gelu by tanh.
ct_status ct_gated_activation(ct_tensor *out, ct_tensor a, ct_tensor b, int32_t activation);

// ---- Averages with exponential weights (kernels/averages.cpp): differentiable, on the CPU ----
// keys, values [B, T, C]; sums over earlier tokens as numerator, denominator, exponent [B, C] (all NULL: none;
// a numerator and denominator of 0 are none whatever the exponent). Writes four tensors: averages [B, T, C] and
// the three sums afterwards, in float32 (float64 for float64 keys).
// WKV (RWKV-4): decay > 0 a token and bonus of the token itself, both [C].
ct_status ct_wkv(ct_tensor *out, ct_tensor key, ct_tensor value, ct_tensor decay, ct_tensor bonus,
                 ct_tensor numerator, ct_tensor denominator, ct_tensor exponent);
// AFT: tokens less than `window` back count e^(key + bias), older ones e^key through the sums. The history
// [B, H, C] (or NULL) holds the tokens before, of row b the entries starts[b] ..< ends[b]. bias [B or 1, T, W]: of
// token t and lag j at [t, j], or with `matrix` at [t, count + t - j], count being the row's history.
// With `absorbs`, tokens that leave the window are added to the sums.
ct_status ct_biased_window(ct_tensor *out, ct_tensor key, ct_tensor value, ct_tensor bias, ct_tensor past_key,
                           ct_tensor past_value, ct_tensor numerator, ct_tensor denominator, ct_tensor exponent,
                           const int64_t *starts, const int64_t *ends, int64_t window, bool matrix, bool absorbs);

// Depthwise causal convolution, x [B, T, C], weight [C, W], bias [C] or NULL, ring [B, W-1, C] or NULL (zeros)
// -> [B, T, C] and the ring after the last position (kernels/short_convolution.cpp).
ct_status ct_short_convolution(ct_tensor *out, ct_tensor *ring_out, ct_tensor x, ct_tensor weight, ct_tensor bias,
                               ct_tensor ring);

// ---- Streams of AltUp (kernels/altup.cpp, kernels/sequence_altup.cpp) ----
// Predict and correct in one pass: `count` blocks of one shape, the layer's output for block `active`, p [K, K],
// g [K] -> `count` new blocks.
ct_status ct_altup_mix(ct_tensor *outs, const ct_tensor *blocks, int32_t count, ct_tensor output,
                       ct_tensor prediction, ct_tensor correction, int32_t active);
// The prediction of the active block alone.
ct_status ct_altup_predict(ct_tensor *out, const ct_tensor *blocks, int32_t count, ct_tensor prediction,
                           int32_t active);
// Sums of tensors of one shape with constant weights [out_count, in_count] (a host array).
ct_status ct_combine(ct_tensor *outs, int32_t out_count, const ct_tensor *ins, int32_t in_count,
                     const double *weights);
// Sequence-AltUp: x [B, T, D] with anchors at first, first + stride, ...; layer_output [B, anchors, D] or NULL;
// anchor and innovation [B, D] before the first token or NULL; coefficients a1, a2, b [3]. -> [B, T, D], and anchor
// and innovation of the last group in the accumulator type.
ct_status ct_sequence_altup(ct_tensor *out, ct_tensor *anchor_out, ct_tensor *innovation_out, ct_tensor x,
                            ct_tensor layer_output, ct_tensor anchor, ct_tensor innovation, ct_tensor coefficients,
                            int64_t first, int64_t stride);
// x with the given range of an axis replaced by `source`.
ct_status ct_slice_scatter(ct_tensor *out, ct_tensor x, ct_tensor source, int64_t axis, int64_t begin, int64_t end,
                           int64_t step);

// ---- Mixtures of experts (kernels/routing.cpp, kernels/experts.cpp) ----
// probabilities [N, E] -> token of every slot [M] (sorted by expert), its entry
// (token * E + expert) in the probabilities, the wanted experts [N, k], and the
// taken tokens of each expert in `counts` (E numbers). routing 0: token choice by position, 1: token choice by
// probability, 2: expert choice. capacity 0: no limit. With a granule above 1 empty slots, of token -1 and entry 0, follow
// those of each expert up to a multiple of it; `counts` leaves them out.
ct_status ct_route(ct_tensor *slot_tokens, ct_tensor *slot_entries, ct_tensor *choices, int64_t *counts,
                   ct_tensor probabilities, int32_t routing, int64_t k, int64_t capacity, int64_t granule);
// x [N, D] -> the row of every slot's token [M, D].
ct_status ct_dispatch(ct_tensor *out, ct_tensor x, ct_tensor slot_tokens);
// rows [M, D] times gates [M], summed by token -> [N, D].
ct_status ct_collect(ct_tensor *out, ct_tensor rows, ct_tensor gates, ct_tensor slot_tokens, int64_t tokens);
// x [M, in] times the matrix of each row's expert: weight [E, out, in], bias [E, out] or NULL.
ct_status ct_grouped_linear(ct_tensor *out, ct_tensor x, ct_tensor weight, ct_tensor bias, const int64_t *counts,
                            int32_t expert_count);

// ---- Long convolutions and diagonal state spaces (kernels/long_convolution.cpp, kernels/diagonal_heads.cpp) ----
// Causal depthwise convolution of x [B, M, C] with taps [L, C], and skip [C] or NULL times x: the outputs [B, T, C]
// at positions starts[b] ..< starts[b] + time. What lies after them in x is not read. Never circular.
// method 0: the faster one, 1: direct sums (CPU), 2: spectra.
ct_status ct_long_convolution(ct_tensor *out, ct_tensor x, ct_tensor taps, ct_tensor skip, const int64_t *starts,
                              int32_t rows, int64_t time, int32_t method);
// q, k, v [B, T, H*P], taps [H, N] for chunks of N, read and write [H, R, 2M], power [H, R+1, 2M], R <= N,
// state [B, H, 2M, P*P] or NULL -> [B, T, H*P] and the next state (CPU only).
ct_status ct_diagonal_heads(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                            ct_tensor taps, ct_tensor read, ct_tensor write, ct_tensor power, ct_tensor state);
// One step without gradients, the state [B, H, 2M, P*P] in place: q, k, v [B, H*P]; alpha (A - 1), input and readout
// [H, 2M] as (Re, Im), skip [H] (CPU only).
ct_status ct_diagonal_heads_step(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor state,
                                 ct_tensor alpha, ct_tensor input, ct_tensor readout, ct_tensor skip);
// One step without gradients of C independent state spaces, the state [B, C, 2, M] in place: u [B, C] and tables
// [C, 2, M] of its type, float32 or float64 -> 2 Re(readout x) [B, C] (CPU only).
ct_status ct_diagonal_step(ct_tensor *out, ct_tensor u, ct_tensor state, ct_tensor alpha, ct_tensor input,
                           ct_tensor readout);
// The angle of x + iy in radians.
ct_status ct_atan2(ct_tensor *out, ct_tensor y, ct_tensor x);
// A number that changes whenever a byte of the tensors does (CPU only).
ct_status ct_fingerprint(uint64_t *out, const ct_tensor *tensors, int32_t count);

// ---- Attention (kernels/attention.cpp) ----
// Causal attention in memory O(T d): q [B, H, T, A], k [B, G, N, A], v [B, G, N, V] (any strides, G divides H)
// -> [B, H, T, V] in the memory order [B, T, H, V]. Query t of row b sees the keys 0 ... past[b] + t; `rows` is B, or
// 1 for one past of all. `tile`: keys scored at once. Differentiable.
ct_status ct_attention(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, const int64_t *past, int32_t rows,
                       double scale, int64_t tile);
// The same one query at a time, without gradients.
ct_status ct_attention_steps(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, const int64_t *past,
                             int32_t rows, double scale);
// ---- Mixers whose memory is a matrix a head (kernels/gated_retention.cpp, channel_gates.cpp, delta_rule.cpp) ----
// q, k [B, G, T, K], v [B, H, T, V], H a multiple of G; log_gates [B, H, T]; state [B, H, K, V] or NULL (zeros)
// -> outputs [B, H, T, V] and the state after the last position.
ct_status ct_gated_retention(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                             ct_tensor log_gates, ct_tensor state, int64_t chunk);
// The same with G = H and log_gates [B, H, T, K], one for every key channel.
ct_status ct_channel_gated_retention(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                                     ct_tensor log_gates, ct_tensor state, int64_t chunk);
// The delta rule with strengths [B, H, T], G = H and log_gates [B, H, T] or NULL.
ct_status ct_delta_rule(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                        ct_tensor log_gates, ct_tensor strengths, ct_tensor state, int64_t chunk);
// Any of them position by position without gradients; log_gates of either shape or NULL, strengths or NULL. The
// state [B, H, K, V] is overwritten.
ct_status ct_matrix_recurrence(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor log_gates,
                               ct_tensor strengths, ct_tensor state);
// x with a x = b, for the lower triangle of a [.., N, N] and b [.., N, M]; ones on the diagonal where `unit`.
ct_status ct_solve_lower_triangular(ct_tensor *out, ct_tensor a, ct_tensor b, bool unit);

// ---- Encoder-decoder models (kernels/biased_attention.cpp, residual_norm.cpp, token_loss.cpp) ----
// Attention without scaling of scores, with a bias of distances [H, Tq + Tk - 1] (index j - i + Tq - 1) or NULL.
// x [B, T, 3 H A] packs q, k, v; with memory [B, Tk, 2 H A] (k, v), x [B, Tq, H A] is q alone -> [B, Tq, H A].
// Segments int32 [B, Tq], [B, Tk] or NULL: queries see keys of their own segment only, and 0 is padding. `keep`
// [B, H, Tq or 1, Tk] multiplies the probabilities (dropout) or is NULL. Causal queries are aligned to the last keys.
ct_status ct_biased_attention(ct_tensor *out, ct_tensor x, ct_tensor memory, ct_tensor bias,
                              ct_tensor query_segments, ct_tensor key_segments, ct_tensor keep, int32_t heads,
                              bool causal);
// One query a row over the first `count` entries of caches [N, H, C, A], without gradients: q [B, H A], bias
// [H, count] or NULL, key_segments [N, count] or NULL (1 counts) -> [B, H A]. Row b reads cache b / (B / N).
ct_status ct_biased_attention_step(ct_tensor *out, ct_tensor q, ct_tensor keys, ct_tensor values, ct_tensor bias,
                                   ct_tensor key_segments, int64_t count);
// RMS norm, of element type `dtype`, of the stream x + branch, which is *sum_out; without a branch (NULL) of x, and
// *sum_out is NULL. The stream is float32 or of the type of the branch.
ct_status ct_residual_norm(ct_tensor *out, ct_tensor *sum_out, ct_tensor x, ct_tensor branch, ct_tensor weight,
                           double epsilon, int32_t dtype);
ct_status ct_residual_add(ct_tensor *out, ct_tensor x, ct_tensor branch);
// logits [N, V], int64 targets [N] (-100: not counted) -> cross entropies [N] and log-normalisers [N].
ct_status ct_token_loss(ct_tensor *losses, ct_tensor *log_sums, ct_tensor logits, ct_tensor targets);

#ifdef __cplusplus
}
#endif
#endif
