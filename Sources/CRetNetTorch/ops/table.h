// The kernels that devices have, and the one place that decides where there are any.
//
// Files in ops/ hold the operators: each checks its arguments, calls `kernels_for`, and then the entry of the table it
// gets, or runs as a chain of ATen operators where it gets none. The entries for processors are in cpu/, those for CUDA
// devices in cuda/; another device is a folder of its own with a table like `cpu_operators`, and a line in table.cpp.
#pragma once

#include "operators.h"

#include <array>
#include <string>

namespace ctorch {

// Steps of chunkwise retention (ops/retention.cpp), which have one graph node for all devices.
struct RetentionSteps {
  // Rows x [N, L, X] times factors [H, L, 1], N a multiple of H, in the type of x.
  at::Tensor (*scale_rows)(const at::Tensor &x, const at::Tensor &factors, int64_t heads);
  // Scores [N, L, L] times gamma^(row - column), zero above the diagonal; may overwrite them. `descending` [H, C + 1]
  // holds gamma^(C - i).
  at::Tensor (*apply_decay)(at::Tensor scores, const at::Tensor &descending, const std::vector<double> &log_gammas);
  // total [N, A, V] = factors[head] total + addend, in place; the total is in the accumulator type.
  void (*carry)(at::Tensor &total, const at::Tensor &addend, const std::vector<double> &factors);
};

// A layer of retention (ops/retention.cpp). Undefined tensors are left out.
struct RetentionLayer {
  at::Tensor x;                      // [B, T, D], contiguous
  std::array<at::Tensor, 4> weights; // of queries, keys, values and the gate, [., D]
  at::Tensor cosine, sine;           // [B or 1, T, key size / 2]
  at::Tensor epsilons, norm_weight, norm_bias, state;
  // The epsilon of scores that are normalized by the absolute value of their sum, and the sum of earlier keys [B, H, A]; 0: they
  // are not.
  double sum_epsilon;
  at::Tensor key_sum;
  std::vector<double> log_gammas;
  int64_t chunk;
  bool interleaved, keeps_state;
  double key_scale;
  ct_norm_kind kind;
  ct_activation activation;
};

// An output matrix together with the summed loss of its logits (cpu/output_loss.cpp).
struct OutputLoss {
  at::Tensor x;            // [N, D], contiguous
  at::Tensor weight, bias; // [V, D] and [V] or undefined, of any floating-point type
  at::Tensor targets;      // [N], contiguous, checked
  double z_loss;
  bool counts_hits;
  int64_t block_bytes; // of logits at a time; 0: as many as are fast
};

// A step of a layer of retention (ops/retention.cpp), batch first. Undefined tensors are left out.
struct RetentionDecode {
  at::Tensor query, key, value, gate; // [B, H, A], [B, G, A], [B, G, V], [B, H, V], the last axis of stride 1
  at::Tensor cosine, sine;            // [B or 1, A / 2]
  at::Tensor epsilons, norm_weight, norm_bias;
  std::vector<double> log_gammas;
  bool interleaved;
  double key_scale;
  ct_norm_kind kind;
  ct_activation activation;
};

struct ConvolutionShape {
  int64_t batch, length, channels; // of x
  int64_t time;                    // of the output
  int64_t taps;                    // that can reach anything
  std::vector<int64_t> starts;     // of each row's outputs in x
};

// A piece of a row of one sequence: `length` elements from `from` on, which go to `to`.
struct Segment {
  int64_t from, to, length;
};

// Steps of long convolutions (ops/convolutions.cpp), which have one graph node for all devices.
struct ConvolutionSteps {
  // Channels [first, first + count) of segments of x [B, M, C] as [B, count, n], zero elsewhere, in the accumulator
  // type.
  at::Tensor (*pack)(const at::Tensor &x, const std::vector<Segment> &segments, int64_t first, int64_t count,
                     int64_t n);
  // Adds segments of y [B, count, n] to the channels from `first` on of out [B, T, C], in the accumulator type.
  void (*unpack)(const at::Tensor &y, const std::vector<Segment> &segments, int64_t first, at::Tensor &out);
  // Direct sums: add to `out`, and to both gradients. Null: products of spectra only.
  void (*direct)(const at::Tensor &x, const at::Tensor &taps, const ConvolutionShape &shape, at::Tensor &out);
  void (*direct_backward)(const at::Tensor &x, const at::Tensor &taps, const ConvolutionShape &shape,
                          const at::Tensor &out_gradient, at::Tensor &x_gradient, at::Tensor &taps_gradient);
};

// Numerator, denominator and exponent [B, C] of earlier tokens; all undefined for none.
struct RunningTensors {
  at::Tensor numerator, denominator, exponent;
};

// Arguments of a window of AFT in addition to tensors.
struct WindowPlan {
  std::vector<int64_t> starts, ends; // valid entries of every row's history
  int64_t window;
  bool matrix, absorbs;
};

enum class StreamWeights : int64_t { mix, predict, constant };

// One AdamW step of parameters of one type, all contiguous (tensors/optimizers.cpp).
struct AdamWStep {
  variable_list parameters, gradients, first, second;
  retnet::AdamWFactors factors;
};

// Groups of the tokens of one sequence in Sequence-AltUp: the carried one (tokens before the first anchor), then
// those of the anchors.
struct TokenGroups {
  int64_t batch, time, size, first, stride;
  int64_t anchors() const { return time > first ? (time - first + stride - 1) / stride : 0; }
  bool carried() const { return first > 0; }
  int64_t count() const { return anchors() + (carried() ? 1 : 0); }
  // The index of the anchor of a group, -1 for the carried one.
  int64_t anchor(int64_t group) const { return carried() ? group - 1 : group; }
  int64_t begin(int64_t anchor) const { return anchor < 0 ? 0 : first + anchor * stride; }
  int64_t end(int64_t anchor) const {
    return anchor < 0 ? std::min(first, time) : std::min(first + (anchor + 1) * stride, time);
  }
};

// Arguments of attention with a bias of distances (ops/attention.cpp).
struct DistanceAttention {
  at::Tensor x, memory, bias, query_segments, key_segments, keep;
  int64_t heads;
  bool causal;
};

// Tables of diagonal state spaces over outer products (cpu/diagonal_heads.cpp).
struct HeadTables {
  at::Tensor taps, read, write, power;
};

// The kernels of one device. Every entry may be null, with no element type in `types` unless the operator has others. A
// device whose kernels are compiled for some sizes only returns an undefined tensor, or an empty list, for others: the
// operator then runs as elsewhere. Arguments are checked, contiguous where the comment does not say "any strides", and
// tables, weights and states are in the accumulator type.
struct DeviceOperators {
  // Element types that each operator has a kernel for, as bits 1 << ct_dtype.
  std::array<uint32_t, CT_OPERATOR_COUNT> types;

  // x with any strides; cosine and sine may be undefined.
  at::Tensor (*rotate_heads)(const at::Tensor &x, const at::Tensor &cosine, const at::Tensor &sine, bool interleaved,
                             double scale);
  const RetentionSteps *retention;
  // Where there are heads enough for all threads, instead of the steps: outputs and, if it is kept, the next state.
  // q, k, v with any strides.
  variable_list (*chunkwise_retention)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                       const at::Tensor &state, const std::vector<double> &log_gammas, int64_t chunk,
                                       bool keeps_state);
  // The outputs of the heads behind norm and gate, [B, T, H V], and, if they are kept, the next state and the next sum of keys
  // (undefined without such a sum).
  variable_list (*retention_layer)(const RetentionLayer &layer);
  // Returns the output and overwrites the state.
  at::Tensor (*retention_step)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, at::Tensor &state,
                               const double *log_gammas, int64_t heads);
  // The outputs [B, H V]; overwrites the state. Null where steps are taken one by one.
  at::Tensor (*retention_decode)(const RetentionDecode &step, at::Tensor &state);
  // x [..., K], weight [N, K], bias [N] or undefined -> [..., N]; a few rows of x, with any strides.
  at::Tensor (*few_rows)(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias);
  at::Tensor (*head_norm)(const at::Tensor &x, const at::Tensor &gate, const at::Tensor &epsilons,
                          const at::Tensor &weight, const at::Tensor &bias, ct_norm_kind kind,
                          ct_activation activation);
  at::Tensor (*gated_activation)(const at::Tensor &a, const at::Tensor &b, ct_activation activation);
  // The RMS norm, or with a bias the layer norm, and, with a branch, the sum.
  variable_list (*residual_norm)(const at::Tensor &x, const at::Tensor &branch, const at::Tensor &weight,
                                 const at::Tensor &bias, double epsilon, at::ScalarType type);
  at::Tensor (*residual_add)(const at::Tensor &x, const at::Tensor &branch);
  // weight of type `type` or its accumulator; indices contiguous and in range -> [N, D].
  at::Tensor (*embedding)(const at::Tensor &weight, const at::Tensor &indices, double scale, at::ScalarType type);
  variable_list (*token_loss)(const at::Tensor &logits, const at::Tensor &targets);
  // The value to differentiate, its cross entropy and, if it is counted, the number of targets with the largest logit.
  variable_list (*output_loss)(const OutputLoss &arguments);
  // q, k, v with any strides.
  at::Tensor (*attention)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                          const std::vector<int64_t> &past, double scale, int64_t tile);
  at::Tensor (*attention_steps)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                const std::vector<int64_t> &past, double scale);
  at::Tensor (*distance_attention)(const DistanceAttention &arguments);
  at::Tensor (*distance_attention_step)(const at::Tensor &q, const at::Tensor &keys, const at::Tensor &values,
                                        const at::Tensor &bias, const at::Tensor &segments, int64_t count);
  // Sums of streams with weights from p [K, K] and g [K] (mix, predict), or constants [rows, inputs].
  variable_list (*combine)(const variable_list &inputs, const at::Tensor &p, const at::Tensor &g,
                           const std::vector<double> &constants, int64_t active, StreamWeights weights);
  variable_list (*sequence_altup)(const at::Tensor &x, const at::Tensor &layer_output, const at::Tensor &anchor,
                                  const at::Tensor &innovation, const at::Tensor &coefficients, int64_t first,
                                  int64_t stride);
  at::Tensor (*dispatch)(const at::Tensor &x, const at::Tensor &slot_tokens);
  at::Tensor (*collect)(const at::Tensor &rows, const at::Tensor &gates, const at::Tensor &slot_tokens,
                        int64_t tokens);
  const ConvolutionSteps *convolution;
  // The outputs behind an activation, and the next ring; x with any strides. For training: its rounding differs from the chain's.
  variable_list (*short_convolution)(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                                     const at::Tensor &ring, ct_activation activation);
  variable_list (*wkv)(const at::Tensor &key, const at::Tensor &value, const at::Tensor &decay,
                       const at::Tensor &bonus, const RunningTensors &sums);
  variable_list (*biased_window)(const at::Tensor &key, const at::Tensor &value, const at::Tensor &bias,
                                 const at::Tensor &past_key, const at::Tensor &past_value, const RunningTensors &sums,
                                 const WindowPlan &plan);
  // Outputs and the next state; arguments with any strides.
  variable_list (*gated_retention)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                   const at::Tensor &log_gates, const at::Tensor &state, int64_t chunk);
  variable_list (*channel_gates)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                 const at::Tensor &log_gates, const at::Tensor &state, int64_t chunk);
  variable_list (*delta_rule)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                              const at::Tensor &log_gates, const at::Tensor &beta, const at::Tensor &state,
                              int64_t chunk, bool trains);
  // Overwrites the state.
  at::Tensor (*matrix_recurrence)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                  const at::Tensor &log_gates, const at::Tensor &beta, at::Tensor &state);
  // The outputs and, if it is kept, the next state.
  variable_list (*diagonal_heads)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                  const HeadTables &tables, const at::Tensor &state, int64_t chunk, bool keeps_state);
  // Both overwrite the state.
  at::Tensor (*diagonal_heads_step)(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v,
                                    const at::Tensor &state, const at::Tensor &alpha, const at::Tensor &input,
                                    const at::Tensor &readout, const at::Tensor &skip);
  at::Tensor (*diagonal_step)(const at::Tensor &u, const at::Tensor &state, const at::Tensor &alpha,
                              const at::Tensor &input, const at::Tensor &readout);
  // Overwrites parameters and moments.
  void (*adamw)(const AdamWStep &step);
};

// The kernels that operator `op` is to run with for elements like those of x, or null where there are none.
const DeviceOperators *kernels_for(ct_operator op, const at::Tensor &x);
// The same, as an error where there are none: for operators whose other form is written in Swift.
const DeviceOperators &required_kernels(ct_operator op, const at::Tensor &x);

// activation(a) b, or activation(a) where b is undefined, by the kernel or the chain (ops/rows.cpp).
at::Tensor gated_activation(const at::Tensor &a, const at::Tensor &b, ct_activation activation);

// The tables for processors (cpu/table.cpp) and for CUDA devices (cuda/table.cpp).
extern const DeviceOperators cpu_operators, cuda_operators;
// True if operators of this thread are to run by it for tensors of the processor too (ct_emulate_cuda).
bool emulates_cuda();
// Why the kernels for CUDA devices cannot run here, empty if they can (cuda/device.cpp).
const std::string &cuda_kernels_problem();

} // namespace ctorch
