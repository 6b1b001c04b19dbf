// Operators that a device can have kernels for (ops/, cpu/). Differentiable unless the comment says otherwise.
#ifndef CTORCH_OPERATORS_H
#define CTORCH_OPERATORS_H

#include "ctorch_types.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- Heads and rows (ops/rows.cpp, ops/retention.cpp, ops/products.cpp) ----
// Rotates channel pairs: x [B, T, H, A] (any strides) -> [B, H, T, A], times `scale`.
// cos, sin [B or 1, T, A/2] float32 or float64; NULL for no rotation. Interleaved pairs (2j, 2j+1) or halves.
ct_status ct_rotate_heads(ct_tensor *out, ct_tensor x, ct_tensor cosine, ct_tensor sine, bool interleaved,
                          double scale);
// Chunkwise retention with hand-written gradients; see ops/retention.cpp.
// q, k [B, H, T, A], v [B, H, T, V], state [B, H, A, V] or NULL, log_gammas: host array of H doubles.
// `state_out` NULL: the state after the last position is not needed, and not computed where it can be left out.
// `trains`: by the kernels of training, whose rounding differs, where there are some and heads for all threads.
ct_status ct_retention_chunkwise(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                                 ct_tensor state, const double *log_gammas, int32_t heads, int64_t chunk,
                                 bool trains);
// The state [B, H, A, V] after a part of a sequence with nothing before it, without any outputs; k, v as above.
ct_status ct_retention_end_state(ct_tensor *out, ct_tensor k, ct_tensor v, const double *log_gammas, int32_t heads);
// A layer of retention up to its output matrix, for devices with a kernel: one product for queries, keys, values and the
// gate, rotation, scale of keys, chunkwise retention, head norm and gate.
typedef struct {
  ct_tensor query, key, value, gate; // weights [H A, D], [H A, D], [H V, D] and [H V, D] (NULL: no gate), of any type
  ct_tensor cosine, sine;            // as in ct_rotate_heads
  bool interleaved;
  double key_scale;
  ct_tensor epsilons, norm_weight, norm_bias; // as in ct_head_norm_gate
  ct_norm_kind norm;
  ct_activation activation;
  // Scores normalized by the absolute value of their sum: every epsilon becomes the larger one of the given and `sum_epsilon`
  // times the square of that sum. key_sum [B, H, A]: the decayed sum of earlier keys, or NULL. 0: no such sums.
  double sum_epsilon;
  ct_tensor key_sum;
  const double *log_gammas; // H numbers
  int32_t heads;
  int64_t chunk;
} ct_retention_layer_options;
// True if x [B, T, D] can be the input of such a layer here: kernels, and rows and heads enough for them.
bool ct_runs_retention_layer(ct_tensor x, int32_t heads);
// x [B, T, D], state [B, H, A, V] or NULL -> [B, T, H V] and, unless `state_out` is NULL, the next state and the next sum of
// keys, without gradients (NULL where `sum_epsilon` is 0).
ct_status ct_retention_layer(ct_tensor *out, ct_tensor *state_out, ct_tensor *key_sum_out, ct_tensor x, ct_tensor state,
                             const ct_retention_layer_options *options);
// One recurrent step without gradients: q, k [B, H, A], v [B, H, V], state [B, H, A, V] float32 -> o [B, H, V],
// new state. `in_place` overwrites `state` and leaves *state_out NULL.
ct_status ct_retention_step(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                            ct_tensor state, const double *log_gammas, int32_t heads, bool in_place);
// A step of a layer of retention without gradients, from its projections to what its output matrix gets, for devices with
// a kernel: rotation, scale of keys, the step, head norm and gate.
typedef struct {
  ct_tensor query, key, value; // [B, 1, H A], [B, 1, G A] and [B, 1, G V], H a multiple of G
  ct_tensor gate;              // [B, 1, H V] or NULL
  ct_tensor cosine, sine;      // [B or 1, 1, A / 2] or NULL
  bool interleaved;
  double key_scale;
  ct_tensor epsilons, norm_weight, norm_bias; // as in ct_head_norm_gate
  ct_norm_kind norm;
  ct_activation activation;
  const double *log_gammas; // H numbers
  int32_t heads, groups;
} ct_retention_decode_options;
// True if this device and element type have such a kernel.
bool ct_runs_retention_decode(ct_tensor x);
// state [B, H, A, V] float32 -> [B, 1, H V] and the next state, as in ct_retention_step; both NULL if there is no kernel for
// these sizes, with the state unchanged.
ct_status ct_retention_decode(ct_tensor *out, ct_tensor *state_out, ct_tensor state, bool in_place,
                              const ct_retention_decode_options *options);
// x [..., K] (any strides) times weight [N, K] transposed, plus bias [N] or NULL -> [..., N].
ct_status ct_linear(ct_tensor *out, ct_tensor input, ct_tensor weight, ct_tensor bias);
// Head norm over the last axis of x [B, H, T, V], then gate [B, T, H*V] (NULL: none) -> [B, T, H*V].
// epsilons [B or 1, H, T] float32: the epsilon of each row (folded score factors); weight, bias [H*V] or NULL.
ct_status ct_head_norm_gate(ct_tensor *out, ct_tensor x, ct_tensor gate, ct_tensor epsilons, ct_tensor weight,
                            ct_tensor bias, ct_norm_kind kind, ct_activation activation);
// RMS norm over the last axis; weight may be NULL. Output in the type of x.
ct_status ct_rms_norm(ct_tensor *out, ct_tensor x, ct_tensor weight, double epsilon);
// activation(a) * b; b may be NULL.
ct_status ct_gated_activation(ct_tensor *out, ct_tensor a, ct_tensor b, ct_activation activation);

// Rows of weight [V, D] for int64 indices of any shape, in element type `dtype`, then times `scale`.
ct_status ct_scaled_embedding(ct_tensor *out, ct_tensor weight, ct_tensor indices, double scale, ct_dtype dtype);

// ---- Averages with exponential weights (ops/wkv_aft.cpp), where ct_has_kernel is true ----
// keys, values [B, T, C]; sums over earlier tokens as numerator, denominator, exponent [B, C] (all NULL: none;
// a numerator and denominator of 0 are none whatever the exponent). Writes four tensors: averages [B, T, C] and
// the three sums afterwards, in float32 (float64 for float64 keys).
// WKV (RWKV-4): decay > 0 per token and bonus of the token itself, both [C].
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
// -> [B, T, C] behind the activation, and the ring after the last position. `trains`: by the kernel of training, whose rounding
// differs, where there is one.
ct_status ct_short_convolution(ct_tensor *out, ct_tensor *ring_out, ct_tensor x, ct_tensor weight, ct_tensor bias,
                               ct_tensor ring, ct_activation activation, bool trains);

// ---- Streams of AltUp (ops/altup.cpp) ----
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

// ---- Mixtures of experts (ops/experts.cpp) ----
// probabilities [N, E] -> token of every slot [M] (sorted by expert), its entry (token * E + expert) in the
// probabilities, the wanted experts [N, k], and the taken tokens of each expert in `counts` (E numbers). A capacity of 0
// is no limit; with the sequence of every token, N indices from 0 or NULL, it is that of an expert for one sequence,
// where tokens choose. With a granule above 1 empty slots, of token -1 and entry 0, follow those of each expert up to a
// multiple of it; `counts` leaves them out.
ct_status ct_route(ct_tensor *slot_tokens, ct_tensor *slot_entries, ct_tensor *choices, int64_t *counts,
                   ct_tensor probabilities, ct_routing_order routing, int64_t k, int64_t capacity,
                   const int64_t *sequences, int64_t granule);
// x [N, D] -> the row of every slot's token [M, D].
ct_status ct_dispatch(ct_tensor *out, ct_tensor x, ct_tensor slot_tokens);
// rows [M, D] times gates [M], summed by token -> [N, D].
ct_status ct_collect(ct_tensor *out, ct_tensor rows, ct_tensor gates, ct_tensor slot_tokens, int64_t tokens);
// x [M, in] times the matrix of each row's expert: weight [E, out, in], bias [E, out] or NULL.
ct_status ct_grouped_linear(ct_tensor *out, ct_tensor x, ct_tensor weight, ct_tensor bias, const int64_t *counts,
                            int32_t expert_count);

// ---- Convolutions and diagonal state spaces (ops/convolutions.cpp, ops/states.cpp) ----
// Causal depthwise convolution of x [B, M, C] with taps [L, C], and skip [C] or NULL times x: the outputs [B, T, C]
// at positions starts[b] ..< starts[b] + time. Later elements of x are not read. Never circular.
// Direct sums need a kernel; elsewhere products of spectra take their place.
ct_status ct_long_convolution(ct_tensor *out, ct_tensor x, ct_tensor taps, ct_tensor skip, const int64_t *starts,
                              int32_t rows, int64_t time, ct_convolution_method method);
// q, k, v [B, T, H*P], taps [H, N] for chunks of N, read and write [H, R, 2M], power [H, R+1, 2M], R <= N,
// state [B, H, 2M, P*P] or NULL -> [B, T, H*P] and, unless `state_out` is NULL, the next state; where ct_has_kernel is true.
ct_status ct_diagonal_heads(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                            ct_tensor taps, ct_tensor read, ct_tensor write, ct_tensor power, ct_tensor state);
// One step without gradients, the state [B, H, 2M, P*P] in place: q, k, v [B, H*P]; alpha (A - 1), input and readout
// [H, 2M] as (Re, Im), skip [H].
ct_status ct_diagonal_heads_step(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor state,
                                 ct_tensor alpha, ct_tensor input, ct_tensor readout, ct_tensor skip);
// One step without gradients of C independent state spaces, the state [B, C, 2, M] in place: u [B, C] and tables
// [C, 2, M] of its type, float32 or float64 -> 2 Re(readout x) [B, C]; where ct_has_kernel is true.
ct_status ct_diagonal_step(ct_tensor *out, ct_tensor u, ct_tensor state, ct_tensor alpha, ct_tensor input,
                           ct_tensor readout);

// ---- Attention (ops/attention.cpp) ----
// Causal attention in memory O(T d): q [B, H, T, A], k [B, G, N, A], v [B, G, N, V] (any strides, G divides H)
// -> [B, H, T, V] in the memory order [B, T, H, V]. Query t of row b sees the keys 0 ... past[b] + t; `rows` is B, or
// 1 for one past of all. `tile`: keys scored at once. Differentiable.
ct_status ct_attention(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, const int64_t *past, int32_t rows,
                       double scale, int64_t tile);
// The same one query at a time, without gradients.
ct_status ct_attention_steps(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, const int64_t *past, int32_t rows,
                             double scale);

// ---- Mixers whose state is a matrix per head (ops/states.cpp), where ct_has_kernel is true ----
// q, k [B, G, T, K], v [B, H, T, V], H a multiple of G; log_gates [B, H, T]; state [B, H, K, V] or NULL (zeros)
// -> outputs [B, H, T, V] and the state after the last position; both NULL if the device has no kernel for these sizes.
ct_status ct_gated_retention(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                             ct_tensor log_gates, ct_tensor state, int64_t chunk);
// The same with G = H and log_gates [B, H, T, K], one for every key channel.
ct_status ct_channel_gated_retention(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                                     ct_tensor log_gates, ct_tensor state, int64_t chunk);
// The delta rule with beta [B, H, T], G = H and log_gates [B, H, T] or NULL. `trains`: products with states in 16 bits where values
// have them.
ct_status ct_delta_rule(ct_tensor *out, ct_tensor *state_out, ct_tensor q, ct_tensor k, ct_tensor v,
                        ct_tensor log_gates, ct_tensor beta, ct_tensor state, int64_t chunk, bool trains);
// Any of them position by position without gradients; log_gates of either shape or NULL, beta or NULL. The
// state [B, H, K, V] is overwritten.
ct_status ct_matrix_recurrence(ct_tensor *out, ct_tensor q, ct_tensor k, ct_tensor v, ct_tensor log_gates,
                               ct_tensor beta, ct_tensor state);

// ---- Encoder-decoder models (ops/attention.cpp, ops/rows.cpp) ----
// Attention without scaling of scores, with a bias of distances [H, Tq + Tk - 1] (index j - i + Tq - 1) or NULL.
// x [B, T, 3 H A] packs q, k, v; with memory [B, Tk, 2 H A] (k, v), x [B, Tq, H A] is q alone -> [B, Tq, H A].
// Segments int32 [B, Tq], [B, Tk] or NULL: queries see keys of their own segment only, and 0 is padding. `keep`
// [B, H, Tq or 1, Tk] multiplies the probabilities (dropout) or is NULL. Causal queries are aligned to the last keys.
ct_status ct_distance_attention(ct_tensor *out, ct_tensor x, ct_tensor memory, ct_tensor bias,
                                ct_tensor query_segments, ct_tensor key_segments, ct_tensor keep, int32_t heads,
                                bool causal);
// One query per row over the first `count` entries of caches [N, H, C, A], without gradients: q [B, H A], bias
// [H, count] or NULL, key_segments [N, count] or NULL (1 counts) -> [B, H A]. Row b reads cache b / (B / N).
ct_status ct_distance_attention_step(ct_tensor *out, ct_tensor q, ct_tensor keys, ct_tensor values, ct_tensor bias,
                                     ct_tensor key_segments, int64_t count);
// RMS norm, or with a bias (not NULL) layer norm, of element type `dtype`, of the stream x + branch, which is *sum_out; without
// a branch (NULL) of x, and *sum_out is NULL. The stream is float32 or of the type of the branch.
ct_status ct_residual_norm(ct_tensor *out, ct_tensor *sum_out, ct_tensor x, ct_tensor branch, ct_tensor weight,
                           ct_tensor bias, double epsilon, ct_dtype dtype);
ct_status ct_residual_add(ct_tensor *out, ct_tensor x, ct_tensor branch);
// logits [N, V], int64 targets [N] (-100: not counted) -> cross entropies [N] and log-normalisers [N].
ct_status ct_token_loss(ct_tensor *losses, ct_tensor *log_sums, ct_tensor logits, ct_tensor targets);
// An output matrix and the loss of its logits, which never lie in memory as a whole (cpu/output_loss.cpp); where
// ct_has_kernel is true. x [N, D], weight [V, D] and bias [V] or NULL of any floating-point type, int64 targets [N]
// (-100: not counted) -> numbers: the sum over the targets of cross entropy + z_loss (log-normalizer)^2, differentiable; the
// cross entropy alone; and how many targets have the largest logit, which are
// not counted where `correct` is NULL. `block_bytes`: of logits that are in memory at once; 0: as many as are fast.
ct_status ct_output_loss(ct_tensor *loss, ct_tensor *entropy, ct_tensor *correct, ct_tensor x, ct_tensor weight,
                         ct_tensor bias, ct_tensor targets, double z_loss, int64_t block_bytes);

#ifdef __cplusplus
}
#endif
#endif
