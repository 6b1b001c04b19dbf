// Arguments of the kernels for devices, and the sizes that follow from how a kernel is instantiated.
//
// Read by the compiler of the device, by the host and by the emulation. Pointers are addresses on the device. Strides count
// elements, and the last axis of every tensor has stride 1.
#pragma once

#include "kernel.h"

namespace retnet::device {

constexpr int32_t kMaximumHeads = 64;

// Heads [B, H, T, X], each with a row per token. `share` heads in a row have the same data.
struct Rows {
  const void *data;
  int64_t batch, head, time;
  int32_t share;
  int32_t aligned; // rows begin at multiples of 16 bytes
};

// ---- Scans over time (scan.cuh) ----

// What a scan is, as bits.
constexpr int32_t kForward = 0;
constexpr int32_t kReverse = 1; // from the last token to the first
constexpr int32_t kGated = 2;   // a decay per token, from log_gates
constexpr int32_t kStates = 4;  // the states after segments only, no outputs

// For every head, with decays a_t (the head's g, or its gates):
//
//   forward   S_t = a_t S_(t-1) + key_t^T value_t        out_t = query_t S_t
//   reverse   S_t = a_(t+1) S_(t+1) + key_t^T value_t    out_t = query_t S_t
//
// Reverse, the state that comes in is S_T with its decay applied already (a_T is that of no token), and the one that
// goes out is S_0 times a_0: the gradient of the state before the first token.
struct ScanArguments {
  Rows query, key;  // [B, H, T, K]
  Rows value, out;  // [B, H, T, V]
  const float *state_in; // null: zero
  float *state_out;      // null: not wanted
  // Element (k, v) of the state of head n = b H + h in segment i lies at
  // i * segment_stride + n * K * V + k * state_key + v * state_value; the segment counts for state_in, and in scans for
  // states only for state_out.
  int64_t state_key, state_value, segment_stride;
  const float *log_gates; // [B, H, T], natural logarithms
  float *segment_logs;    // [segments, B, H]: sums of log_gates over segments, from gated scans for states
  // out_t . with_t of every token, as a sum of parts [V / 16 rounded up, B, H, T]; null: not wanted.
  float *dots;
  Rows with; // [B, H, T, V]
  int32_t batch, heads, time, key_size, value_size;
  int32_t segments, segment_length; // the length is a multiple of the chunk's
  float log2_gammas[kMaximumHeads];
};

// Warps that share the keys of 16 values; a thread then holds at most 128 elements of the state.
constexpr int32_t scan_splits(int32_t key_size) { return key_size > 256 ? 2 : 1; }
constexpr int32_t scan_threads(int32_t key_size, int32_t value_tile) {
  return 32 * (value_tile / 16) * scan_splits(key_size);
}
// Elements of a row of a tile in shared memory: 16 bytes more than it has, so that 8 rows lie in different banks.
constexpr int32_t padded(int32_t size, int32_t element_bytes) { return size + 16 / element_bytes; }

constexpr int32_t scan_stage_bytes(int32_t element_bytes, int32_t key_size, int32_t value_tile, int32_t chunk,
                                   int32_t kind) {
  int32_t key_tiles = kind & kStates ? 1 : 2;
  return chunk * element_bytes * (key_tiles * padded(key_size, element_bytes) + padded(value_tile, element_bytes));
}
constexpr int32_t scan_shared_bytes(int32_t element_bytes, int32_t key_size, int32_t value_tile, int32_t chunk,
                                    int32_t stages, int32_t kind) {
  int32_t bytes = stages * scan_stage_bytes(element_bytes, key_size, value_tile, chunk, kind);
  if (!(kind & kStates)) {
    bytes += chunk * padded(chunk, element_bytes) * element_bytes; // scores
    if (scan_splits(key_size) > 1)
      bytes += chunk * value_tile * 4; // outputs from the second half of the keys
  }
  if (kind & kGated)
    bytes += stages * 2 * chunk * 4;
  return bytes;
}

// The states that enter segments, from those that segments end with: in place, segment after segment.
struct JoinSegmentsArguments {
  float *states; // [segments, N, size]: in, the states after segments that began with zero; out, those that enter
  const float *state_in;     // [N, size] before the first segment in the order of the scan; null: zero
  const float *segment_logs; // [segments, N], natural logarithms; null: fixed decays
  int64_t segment_stride;    // N size
  int32_t count, heads, size; // N = B H
  int32_t segments, segment_length, time, reverse;
  float log2_gammas[kMaximumHeads];
};
constexpr int32_t kJoinThreads = 256;

// Gradients of log gates from products of gradients: with x_t = q_t . dq_t - k_t . dk_t, which is the gradient of the
// sum of all gates up to t, the one of gate t is sum of x_n over n >= t, and <S, dS> of the last state.
struct GateGradientArguments {
  const float *query_dots, *key_dots; // [parts, N, T]
  const float *state, *d_state;       // [N, size] after the last token; null: no gradient
  float *out;                         // [N, T]
  int32_t query_parts, key_parts, count, time, size;
};
constexpr int32_t kGateGradientThreads = 256;

// ---- Rows (decode.cuh, head_norm.cuh, rotate.cuh, token_loss.cuh) ----

// As ct_norm_kind and ct_activation.
constexpr int32_t kNoNorm = 0, kRmsNorm = 1, kLayerNorm = 2;
constexpr int32_t kIdentity = 0, kSwish = 1, kGelu = 2, kRelu = 3, kGeluTanh = 4;

// One token of every sequence: rotation, S = a S + k^T v, o = q S, head norm and gate.
struct DecodeStepArguments {
  Rows query, key, value; // [B, H, 1, A] twice and [B, H, 1, V]: no stride of time
  Rows gate;              // [B, H, 1, V], or no data
  float *state;           // [B, H, A, V], in place
  const float *cosine, *sine; // [B or 1, A / 2] from angle_batch on in each sequence; null: no rotation
  int64_t angle_batch;        // 0 if all sequences have one row of angles
  const float *log_gates;     // [B, H], natural logarithms; null: fixed decays
  const float *epsilons;      // [epsilon_count]: 1, H or B H
  const float *norm_weight, *norm_bias; // [H, V], or null
  void *out;                  // [B, H, V]
  float *scratch;             // [B, H, V], with a norm
  uint32_t *counters;         // [B, H], zero before and after, with a norm
  float key_scale;
  int32_t batch, heads, key_size, value_size, interleaved, epsilon_count, norm, activation;
  float log2_gammas[kMaximumHeads];
};
constexpr int32_t kDecodeThreads = 128;
constexpr int32_t kDecodeTile = 32; // values of a block
constexpr int32_t decode_shared_bytes(int32_t key_size) {
  return 4 * (2 * key_size + kDecodeTile * 16 + 8);
}

// out = norm(x) weight + bias, times activation(gate); backward with d_out.
struct HeadNormArguments {
  const void *x;        // [B, H, T, V]
  const void *gate;     // [B, T, H, V], or null
  const float *epsilons; // of the rows [B, H, T] in turn: 1, H T or B H T
  const float *weight, *bias; // [H, V], or null
  void *out;            // [B, T, H, V]
  const void *d_out;    // [B, T, H, V]; from here on for the backward pass
  void *dx, *d_gate;    // as x and gate
  float *d_weight, *d_bias; // [parts, H, V], to be summed over parts; null: not wanted
  int64_t epsilon_count;
  int32_t batch, heads, time, size, kind, activation, parts;
};
constexpr int32_t kNormThreads = 256;
// Threads of a row, each with `columns` elements.
constexpr int32_t norm_row_threads(int32_t size) { return size <= 512 ? 32 : kNormThreads; }
constexpr int32_t norm_shared_bytes(int32_t columns, int32_t row_threads, bool is_backward) {
  int32_t sums = is_backward && row_threads == 32 ? kNormThreads * columns : 0;
  return 4 * (sums + 8);
}

// sum = x + branch, out = sum / sqrt(mean of squares + epsilon) weight, and backward. The stream (x, sum and their gradients)
// may be float32 under 16-bit branches and outputs.
struct ResidualNormArguments {
  const void *x;      // [N, D], of the stream; the backward pass reads `sum` instead
  const void *branch; // [N, D], or null: then there is no sum to write, and the backward pass writes no d_branch
  const float *weight; // [D]
  void *out;          // [N, D]
  void *sum;          // [N, D], of the stream
  const void *d_out, *d_sum; // d_sum null: zero
  void *dx, *d_branch; // null: not wanted
  float *d_weight;    // [parts, D], to be summed over parts
  int64_t rows;
  float epsilon;
  int32_t size, parts;
};

// out = activation(a) b, or without b activation(a), and backward.
struct GatedActivationArguments {
  const void *a, *b;
  void *out;
  const void *d_out;
  void *da, *db;
  int64_t count;
  int32_t activation, aligned; // all begin at multiples of 16 bytes
};
constexpr int32_t kElementThreads = 256;

// Rotates pairs of channels by angles of positions, from any strides to any others.
struct RotateHeadsArguments {
  const void *x;
  void *out;
  int64_t in_strides[3], out_strides[3]; // B, T, H
  const float *cosine, *sine;            // [B or 1, T, A / 2], or null
  int64_t angle_batch;                   // 0 for one row of sequences
  float scale, sign;                     // sign -1 turns back
  int32_t batch, time, heads, size, interleaved;
};
constexpr int32_t kRotateThreads = 256;

// Losses z - logit of the target, z = log sum exp, of rows; 0 where the target is kIgnoredTarget.
struct TokenLossArguments {
  const void *logits; // [N, V], rows `stride` apart
  const int64_t *targets;
  float *losses, *log_sums; // [N]; the latter is read by the backward pass
  const float *d_losses, *d_log_sums; // [N]; null: zero
  void *d_logits;           // [N, V], rows d_stride apart
  int64_t stride, d_stride;
  int32_t rows, size, aligned; // all rows begin at multiples of 16 bytes
};
constexpr int64_t kIgnoredTarget = -100;
constexpr int32_t kLossThreads = 256;
constexpr int32_t kLossSharedBytes = 2 * 4 * (kLossThreads / 32);

// ---- Streams of AltUp (combine.cuh) ----

constexpr int32_t kMaximumStreams = 9;

// out[i] = sum_j weights[i, j] in[j], element by element; or the sums of d_out[i] in[j] over all elements.
struct CombineArguments {
  const void *in[kMaximumStreams];
  void *out[kMaximumStreams];  // read for the gradients
  const float *weights;        // [outputs, inputs]
  float *gradients;            // [parts, outputs, inputs]: of the weights, to be summed over parts
  int64_t count;               // elements of a stream
  int32_t inputs, outputs, parts, aligned; // all streams begin at multiples of 16 bytes
};
constexpr int32_t kCombineThreads = 256;
constexpr int32_t combine_shared_bytes(int32_t inputs, int32_t outputs) {
  return 4 * (kCombineThreads / 32) * inputs * outputs;
}

} // namespace retnet::device
